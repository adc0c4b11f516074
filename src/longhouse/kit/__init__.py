"""Domain-free helpers every room may use; nothing here knows an agent or a tenant."""
