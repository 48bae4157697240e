"""The attacks: ``<axis>/<class>/x.py`` contains the attack ``x``."""
