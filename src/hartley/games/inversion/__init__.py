"""The threat class inversion: its games, live and dead scenes, and judging."""
