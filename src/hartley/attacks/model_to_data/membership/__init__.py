"""Attacks that play the game membership."""
