"""Steps that defences share."""
