"""The threat class memorization: its games, live and dead scenes, and judging."""
