"""Attacks of the class memorization."""
