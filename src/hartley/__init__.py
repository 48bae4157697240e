"""Hartley measures how many bits an attacker can move between data and models."""

__version__ = "0.1.0"
