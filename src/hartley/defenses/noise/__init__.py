"""Defences that move the noise term."""
