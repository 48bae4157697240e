"""The threat class decryption: its games, live and dead scenes, and judging."""
