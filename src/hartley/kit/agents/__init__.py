"""Agents: what they hold and where it came from, how they act, and what passes between them."""
