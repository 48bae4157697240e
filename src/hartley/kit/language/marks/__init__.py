"""Watermarks of texts: how the owner draws tokens, and what the detector counts."""
