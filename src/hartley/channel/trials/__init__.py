"""Trials: checked, completed, and read from other tools' tables."""
