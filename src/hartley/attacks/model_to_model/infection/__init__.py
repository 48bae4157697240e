"""Attacks that spread from agent to agent."""
