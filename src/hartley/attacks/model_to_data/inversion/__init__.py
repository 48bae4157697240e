"""Attacks that play the game inversion."""
