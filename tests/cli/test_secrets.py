"""`longhouse keys` beside a running server."""

import json
import re

from tests.cli.conftest import Shell


def names(shell: Shell, purpose: str) -> list[str]:
    """The names of the keys for this purpose, the newest first."""
    done = shell.run("keys", "list", "--json")
    assert done.code == 0, done.err
    return [row["id"] for row in json.loads(done.out) if row["purpose"] == purpose]


def test_keys_are_listed_by_name_with_what_they_are_used_for(ada: Shell) -> None:
    done = ada.run("keys", "list")

    rows = [line.split("\t") for line in done.out.splitlines()]
    assert rows[0] == ["purpose", "key", "used for", "kept in"]
    assert rows[1][0] == "signing"
    assert rows[1][3].endswith("jwt_secret")
    assert all(re.fullmatch("[0-9a-f]{8}", row[1]) for row in rows[1:])
    assert rows[1][2] == "new tokens"


def test_a_rotation_takes_new_keys_while_people_stay_signed_in(ada: Shell) -> None:
    before = {purpose: names(ada, purpose) for purpose in ("signing", "encryption")}

    done = ada.run("keys", "rotate")

    assert done.code == 0, done.err
    assert "the key before stays valid" in done.err
    for purpose, (newest, *_) in before.items():
        now = names(ada, purpose)
        assert now[0] != newest
        assert now[1] == newest
    assert ada.run("agents").code == 0


def test_keys_that_are_set_are_left_to_whoever_sets_them(ada: Shell) -> None:
    told = ada.with_variables(JWT_SECRET="x" * 40).run("keys", "rotate")

    assert told.code == 0, told.err
    assert "JWT_SECRET is set" in told.err


def test_a_wrong_key_is_told_in_one_line(ada: Shell) -> None:
    told = ada.with_variables(CONFIG_ENCRYPTION_KEY="x" * 40).run("keys", "list")

    assert told.code == 78
    (line,) = told.err.splitlines()
    assert "Nothing was changed" in line
