"""The steps by which the database got its present tables, and how Alembic runs them.

`kit.db.migrate` applies them at start. A new step is written by
`python -m longhouse.migrations "what it does"` and then read by a person.
"""
