"""Which defense: what a stored run says of the choice. Pure reads of the run document."""
