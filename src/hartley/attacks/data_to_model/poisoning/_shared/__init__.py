"""What several poisoning attacks share."""
