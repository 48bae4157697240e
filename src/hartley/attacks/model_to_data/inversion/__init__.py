"""Attacks of the class inversion."""
