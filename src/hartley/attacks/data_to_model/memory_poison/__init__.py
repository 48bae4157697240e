"""Attacks of the class memory that write."""
