"""Networks on one graph, and on many small ones."""
