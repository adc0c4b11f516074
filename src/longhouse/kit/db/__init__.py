"""The database: synchronous store functions, run by one writer or on a server's connections.

`sqlite` and `group_commit` need the standard library alone, so that the agent library can use them;
`tables`, `database` and `migrate` are SQLAlchemy's side.
"""
