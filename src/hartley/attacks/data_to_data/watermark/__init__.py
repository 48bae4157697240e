"""Attacks of the class watermark."""
