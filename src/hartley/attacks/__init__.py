"""Seed A's tree: ``<axis>/<class>/x.py`` holds the attack ``x``."""
