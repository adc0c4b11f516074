"""Tools of MCP servers: named to a runtime, started on first use, offered to posts by name."""
