"""What only attacks of the class memory that write use."""
