"""Longhouse: people and forges ask for work, agents do it, and the journal remembers it.

The library face is `longhouse.runtime`, the server is `longhouse serve`. This module holds the
version and nothing else: importing it costs nothing.
"""

__version__ = "0.1.0.dev0"
