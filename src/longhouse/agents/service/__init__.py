"""What people do with posts, agents and sessions, each change one transaction with its audit."""
