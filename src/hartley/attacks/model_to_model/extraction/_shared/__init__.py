"""Code that several extraction attacks share."""
