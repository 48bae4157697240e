"""Code that several inversion attacks share."""
