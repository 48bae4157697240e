"""Attacks that play the game memorization."""
