"""The threat class membership: its games, live and dead scenes, and judging."""
