"""Bounds and intervals: certified lower ends, calibrated upper ends, ceilings."""
