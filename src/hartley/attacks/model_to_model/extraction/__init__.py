"""Attacks of the class extraction."""
