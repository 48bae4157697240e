"""Defenses that raise the noise term N of C = B·log₂(1 + S/N)."""
