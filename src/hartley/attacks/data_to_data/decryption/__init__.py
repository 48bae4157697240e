"""Attacks that play the game decryption."""
