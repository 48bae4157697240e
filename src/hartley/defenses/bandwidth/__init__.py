"""Defences that move the bandwidth term."""
