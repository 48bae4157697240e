"""Attacks of the class membership."""
