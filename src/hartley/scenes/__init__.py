"""Recipes of the built-in scenes: the data, the training of the model, and the canaries."""
