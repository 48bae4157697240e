"""Small MCP servers that come with Hartley: scripts of the standard library alone."""
