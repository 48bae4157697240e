"""Defenses that lower the bandwidth term B of C = B·log₂(1 + S/N)."""
