"""Bringing a database's tables up to date at start.

The server calls `upgrade` before anything else uses the database. When there is nothing to do, that
costs one query and a look at the names of the steps; Alembic is imported only for real work. The
steps themselves are `longhouse/migrations/versions`.
"""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from longhouse.kit.db.database import Database
from longhouse.kit.errors import Misconfigured

if TYPE_CHECKING:
    from alembic.config import Config

logger = logging.getLogger(__name__)

SCRIPTS = Path(__file__).parents[2] / "migrations"

REVISION = re.compile(r"^revision(?:: \w+)? = ['\"](\w+)['\"]", re.MULTILINE)


def revisions() -> tuple[str, ...]:
    """The numbers of all steps, the oldest first; they are counted up, so they sort."""
    found = []
    for path in (SCRIPTS / "versions").glob("*.py"):
        match = REVISION.search(path.read_text("utf-8"))
        if match is not None:
            found.append(match.group(1))
    return tuple(sorted(found))


async def upgrade(database: Database, *, to: str | None = None) -> None:
    """Apply the steps this database lacks: all of them or, when one fails, none.

    Several processes may do this at once: one works, the others wait and find nothing to do. `to`:
    the step to stop at, for tables as an older Longhouse had them. Raises `Misconfigured` for a
    database or a step of a newer Longhouse.
    """
    known = revisions_up_to(to)
    if _is_current(await database.read(current_revision), known):
        return
    await database.alter(lambda connection: _upgrade(connection, known))


def revisions_up_to(last: str | None) -> tuple[str, ...]:
    """The steps up to this one, or all. Raises `Misconfigured` for one that is not known here."""
    known = revisions()
    if last is None:
        return known
    if last not in known:
        raise _from_the_future(last)
    return known[: known.index(last) + 1]


async def require_current(database: Database) -> None:
    """Raises `Misconfigured` unless the tables are those of this version; changes nothing."""
    known = revisions()
    revision = await database.read(current_revision)
    if not _is_current(revision, known):
        raise Misconfigured(
            f"The database is at step {revision or 'none'}, and this version needs {known[-1]}.",
            hint="Start the server once with this version: it brings the tables up to date.",
        )


def current_revision(connection: Connection) -> str | None:
    """The last step applied to this database; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def alembic_config(connection: Connection) -> "Config":
    """What Alembic needs to run our scripts on this connection."""
    # Lazily: it costs a third of a second, and most starts have nothing to migrate.
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _is_current(revision: str | None, known: tuple[str, ...]) -> bool:
    if revision is not None and revision not in known:
        raise _from_the_future(revision)
    return revision == (known[-1] if known else None)


def _from_the_future(revision: str) -> Misconfigured:
    return Misconfigured(
        f"The database is at step {revision}, which this version of Longhouse does not know.",
        hint="A newer version has written it: install that one, or restore a backup.",
    )


def _upgrade(connection: Connection, known: tuple[str, ...]) -> None:
    before = current_revision(connection)
    if _is_current(before, known):  # another process was first
        return
    # Lazily, see `alembic_config`.
    from alembic import command  # noqa: PLC0415

    logger.info("bringing the database from step %s to %s", before or "none", known[-1])
    command.upgrade(alembic_config(connection), known[-1])
