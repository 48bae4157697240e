"""Models that know everything or nothing: what live and dead wires are made of."""
