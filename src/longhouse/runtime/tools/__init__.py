"""What agents can do: the tool port and the built-in tools."""
