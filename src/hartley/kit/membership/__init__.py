"""Steps that membership attacks and their judge share."""
