"""Marks of a classifier: what an owner plants, and the exact test of a suspected copy."""
