"""Defences that move the signal term."""
