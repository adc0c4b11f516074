"""The audit from the command line: read from a server, and checked in the database."""

import json
import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Shell


@pytest.fixture
def copied(ada: Shell, tmp_path: Path) -> Shell:
    """A shell that sees a copy of the server's database, which a test may damage."""
    there = Path(ada.environment["LONGHOUSE_DATA_DIR"]) / "longhouse.db"
    with sqlite3.connect(there) as source, sqlite3.connect(tmp_path / "longhouse.db") as copy:
        source.backup(copy)
    return ada.with_variables(LONGHOUSE_DATA_DIR=str(tmp_path))


def test_the_newest_entries_are_listed(ada: Shell) -> None:
    listed = ada.run("audit", "list", "--of-server", "--action", "login.", "--limit", "1")
    as_json = ada.run("audit", "list", "--of-server", "--action", "login.", "--json")

    assert listed.code == 0, listed.err
    head, row = (line.split("\t") for line in listed.out.splitlines())
    assert head[:4] == ["when", "action", "target", "outcome"]
    assert row[1] == "login.created"
    assert {entry["action"] for entry in json.loads(as_json.out)} <= {
        "login.created",
        "login.revoked",
    }


def test_an_export_goes_to_standard_output(ada: Shell) -> None:
    lines = ada.run("audit", "export", "--action", "tenant.")
    table = ada.run("audit", "export", "--format", "csv", "--action", "tenant.")

    assert [json.loads(line)["action"] for line in lines.out.splitlines()] == ["tenant.created"]
    assert table.out.startswith("chain,seq,hash,")


def test_a_whole_audit_is_verified_and_its_heads_are_told(copied: Shell, tmp_path: Path) -> None:
    told = copied.run("audit", "verify")
    as_json = copied.run("audit", "verify", "--json")
    known = tmp_path / "known.json"
    known.write_text(as_json.out)
    again = copied.run("audit", "verify", "--known", str(known))

    assert told.code == as_json.code == again.code == 0, again.err
    assert "server" in told.out
    assert "The audit is whole" in told.err
    assert json.loads(as_json.out)["findings"] == []


def test_damage_is_told_with_its_place_and_ends_with_1(copied: Shell, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "longhouse.db") as database:
        database.execute("DROP TRIGGER audit_entries_no_update")
        database.execute("UPDATE audit_entries SET target = 'x' WHERE chain = 'server' AND seq = 1")

    done = copied.run("audit", "verify")

    assert done.code == 1
    assert "edited: chain server, number 1 (entry audit_" in done.err


def test_tables_of_another_version_are_told_and_left_alone(copied: Shell, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "longhouse.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")

    done = copied.run("audit", "verify")

    assert done.code == 78
    assert "at step 0001" in done.err


def test_a_file_of_known_heads_that_will_not_do_is_told(copied: Shell, tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text("[]")

    wrong = copied.run("audit", "verify", "--known", str(tmp_path / "known.json"))
    missing = copied.run("audit", "verify", "--known", str(tmp_path / "none.json"))

    assert wrong.code == missing.code == 2
    assert "audit verify --json" in wrong.err
