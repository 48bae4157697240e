"""What several inversion attacks use."""
