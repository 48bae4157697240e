"""What removals and forgeries of watermarks share."""
