"""Tools for texts: tokens, a small transformer, per-token statistics."""
