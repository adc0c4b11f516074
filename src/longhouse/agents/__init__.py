"""Posts, agents and sessions: who does the work."""
