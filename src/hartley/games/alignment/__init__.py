"""The threat class alignment: its games, live and dead scenes, and what a pair is made of."""
