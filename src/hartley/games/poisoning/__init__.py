"""The threat class poisoning: its games, live and dead scenes, and judging."""
