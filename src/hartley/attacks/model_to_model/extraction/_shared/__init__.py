"""What attacks of extraction share."""
