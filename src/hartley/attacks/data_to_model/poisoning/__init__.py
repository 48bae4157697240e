"""Attacks of the class poisoning."""
