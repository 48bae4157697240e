"""Render a stored run."""
