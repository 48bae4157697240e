"""The threat class extraction: its games, live and dead scenes, and judging."""
