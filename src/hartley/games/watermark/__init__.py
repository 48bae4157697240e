"""The threat class watermark: its games, live and dead scenes, and judging."""
