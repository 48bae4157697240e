"""What only attacks of the class memory use."""
