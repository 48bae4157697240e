"""What several defences use, and nothing else does."""
