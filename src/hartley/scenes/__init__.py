"""Recipes of the embedded scenes: data, how the model is trained, what is planted."""
