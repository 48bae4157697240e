"""What several membership attacks use."""
