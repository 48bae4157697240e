"""Interaction: what one agent is made to do by others."""
