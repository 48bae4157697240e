"""Helpers that only defenses use."""
