"""The threat class memory_poison: what is written into a store of texts."""
