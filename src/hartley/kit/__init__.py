"""Shared tools that know no attack: nets, fleets, search, text, signal, image, codes, cache."""
