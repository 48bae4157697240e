"""What a program calls: an audit of objects in memory, by the same road as the command line."""
