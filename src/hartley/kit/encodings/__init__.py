"""Ways to write a text so that a filter does not see it: encoders, and readers that undo them."""
