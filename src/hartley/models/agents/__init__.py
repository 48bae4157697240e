"""Scripted policies of agents, one file for each suite of worlds."""
