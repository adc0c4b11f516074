"""Write a new migration step: `python -m longhouse.migrations "Add the column x to y"`.

For developers: compares the rooms' tables with what the existing steps make of an empty SQLite file
and writes the difference into `versions/`. Read it before it is committed.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from longhouse.kit.db import migrate
from longhouse.kit.db.database import open_database


async def write_step(message: str) -> str:
    """Write the step and return its number."""
    number = f"{len(migrate.revisions()) + 1:04d}"

    def compare(connection: Connection) -> None:
        config = migrate.alembic_config(connection)
        command.revision(config, message.rstrip("."), autogenerate=True, rev_id=number)

    with tempfile.TemporaryDirectory() as directory:
        database = await open_database(f"sqlite:///{Path(directory)}/empty.db")
        try:
            await migrate.upgrade(database)
            await database.alter(compare)
        finally:
            await database.close()
    return number


def tidy() -> None:
    """Give the steps the repository's style; the template imports more than each one needs."""
    versions = str(migrate.SCRIPTS / "versions")
    subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--fix", "--quiet", versions], check=True
    )
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", versions], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: python -m longhouse.migrations "What the step does"')
    asyncio.run(write_step(sys.argv[1]))
    tidy()
