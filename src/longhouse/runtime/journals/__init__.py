"""Where journals live: in memory, in an SQLite file, or in a server's database."""
