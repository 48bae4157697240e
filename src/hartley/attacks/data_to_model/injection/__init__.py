"""Attacks on what an agent does with its tools, one file each."""
