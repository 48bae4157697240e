"""Closed loops of attacks: what a plan orders, one cluster played, and what all of them say."""
