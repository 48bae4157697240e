"""Attacks of the class jailbreak."""
