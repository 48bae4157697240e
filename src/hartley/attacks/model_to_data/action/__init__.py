"""Attacks on what an agent was given in confidence, one file each."""
