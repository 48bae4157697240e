"""The threat class memory_leak: what is read out of an agent and of its store of texts."""
