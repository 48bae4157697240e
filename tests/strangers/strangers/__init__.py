"""A plugin distribution whose parts misbehave, each in one way."""
