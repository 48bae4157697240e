"""The threat class action: what an agent is made to do with its tools."""
