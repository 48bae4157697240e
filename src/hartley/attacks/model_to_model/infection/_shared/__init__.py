"""What attacks on conversations share."""
