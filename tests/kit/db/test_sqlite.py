"""Opening SQLite files."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from longhouse.kit.db import sqlite
from longhouse.kit.errors import Misconfigured, Unavailable


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_connection_is_durable_and_minds_foreign_keys(tmp_path: Path) -> None:
    connection = sqlite.connect(tmp_path / "a.db")

    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2
    assert pragma(connection, "busy_timeout") == 5000
    assert pragma(connection, "wal_autocheckpoint") == 4000
    assert pragma(connection, "foreign_keys") == 1
    connection.close()


def test_the_file_and_its_directory_are_made_for_this_user_only(tmp_path: Path) -> None:
    sqlite.connect(tmp_path / "new" / "a.db").close()

    assert stat.S_IMODE((tmp_path / "new" / "a.db").stat().st_mode) == 0o600


def test_a_place_that_is_no_directory_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Misconfigured, match="LONGHOUSE_DATA_DIR"):
        sqlite.connect(tmp_path / "file" / "a.db")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be opened for writing"):
        sqlite.connect(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"not a database " * 100)

    with pytest.raises(Misconfigured, match="not an SQLite database"):
        sqlite.connect(tmp_path / "a.db")


def test_a_file_that_another_process_writes_all_the_time_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 10)
    holder = sqlite.connect(tmp_path / "a.db")
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="another process"):
        sqlite.connect(tmp_path / "a.db")
    holder.close()


def test_another_process_that_comes_and_goes_takes_nothing_along(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connections = [sqlite.connect(path), sqlite.connect(path)]
    connections[0].execute("CREATE TABLE notes (text)")
    visit = (
        "import sys; from pathlib import Path; from longhouse.kit.db import sqlite\n"
        "connection = sqlite.connect(Path(sys.argv[1]))\n"
        "print(connection.execute('SELECT count(*) FROM notes').fetchone()[0])\n"
        "connection.close()"
    )

    def visited() -> str:
        command = [sys.executable, "-c", visit, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    before = visited()
    connections[0].execute("INSERT INTO notes VALUES ('written after the visit')")

    assert (before, visited()) == ("0", "1")
    for connection in connections:
        connection.close()


def test_an_error_of_a_statement_needs_no_explanation(tmp_path: Path) -> None:
    connection = sqlite.connect(tmp_path / "a.db")

    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("SELECT nothing FROM nowhere")

    assert sqlite.explain(caught.value) is None
    assert sqlite.explain(ValueError("x")) is None
    connection.close()
