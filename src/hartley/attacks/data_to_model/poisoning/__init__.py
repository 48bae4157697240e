"""Attacks that play the game poisoning."""
