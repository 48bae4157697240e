"""What to play: plans, checked parameters, and the list of work."""
