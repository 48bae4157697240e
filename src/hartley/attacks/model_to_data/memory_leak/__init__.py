"""Attacks of the class memory that read."""
