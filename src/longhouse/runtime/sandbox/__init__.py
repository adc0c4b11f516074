"""The boundary that the operating system enforces around an agent's tools, and its kinds."""
