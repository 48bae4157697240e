"""The flow action: what an agent is made to do with its tools, and what it lets slip out."""
