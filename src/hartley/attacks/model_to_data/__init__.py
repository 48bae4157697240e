"""Attacks on the axis model to data."""
