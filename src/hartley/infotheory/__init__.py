"""Formulas and estimators of information theory; they know no trials and no games."""
