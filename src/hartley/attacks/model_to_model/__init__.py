"""Attacks on the axis model to model."""
