"""Code that several membership attacks share."""
