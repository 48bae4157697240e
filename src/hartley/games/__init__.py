"""The games: one folder per threat class, with its live and dead scenes and its judge."""
