"""Public conformance checks for parts and plugins."""
