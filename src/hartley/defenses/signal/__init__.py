"""Defenses that lower the signal term S of C = B·log₂(1 + S/N)."""
