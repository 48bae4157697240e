"""Attacks on the axis data to model."""
