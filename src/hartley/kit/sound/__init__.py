"""Marks of sounds, what they are put through, and how a change of a recording is judged."""
