"""Texts as pictures and as speech: how they are drawn and spoken, and what wears them down."""
