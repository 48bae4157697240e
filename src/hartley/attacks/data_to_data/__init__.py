"""Attacks on the axis data to data."""
