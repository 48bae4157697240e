"""Measurement: from trials to bits. Knows numbers, not attacks."""
