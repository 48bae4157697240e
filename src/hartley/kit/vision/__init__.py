"""Pictures as arrays, and marks that are hidden in them."""
