"""Texts and what reads them: tokens, a small transformer, letter statistics, ciphers."""
