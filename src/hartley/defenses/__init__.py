"""Seed B's tree: ``<signal|noise|bandwidth>/x.py`` holds the defense ``x``."""
