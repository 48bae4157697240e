"""Attacks that play the game extraction."""
