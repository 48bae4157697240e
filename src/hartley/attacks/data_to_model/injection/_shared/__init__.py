"""What attacks on agents have in common."""
