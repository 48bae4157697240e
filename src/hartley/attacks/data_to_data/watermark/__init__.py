"""Attacks that play the game watermark."""
