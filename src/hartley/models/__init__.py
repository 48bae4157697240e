"""Models that are trained here, and the networks that come with a pack."""
