"""Attacks of the class decryption."""
