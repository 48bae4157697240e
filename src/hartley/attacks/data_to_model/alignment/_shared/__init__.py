"""What attacks on alignment share."""
