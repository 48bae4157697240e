"""What comes out: the run document, the rows of defenses, and the gate."""
