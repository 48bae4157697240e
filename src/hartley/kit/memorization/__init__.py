"""Canaries, and what of them is found again."""
