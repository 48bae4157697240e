"""Shared tools that know no attack: nets, fleets of models, text, signal, image and code helpers."""
