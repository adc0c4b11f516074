"""`longhouse backup` and `longhouse restore` as somebody types them, beside a running server."""

from pathlib import Path

from tests.cli.conftest import PASSWORD, Shell


def test_a_house_is_saved_while_it_runs_and_made_again_elsewhere(
    ada: Shell, tmp_path: Path
) -> None:
    made = ada.run("backup", str(tmp_path / "house.tar.gz"))
    assert made.code == 0, made.err
    assert made.out == f"{tmp_path / 'house.tar.gz'}\n"
    there = ada.with_variables(LONGHOUSE_DATA_DIR=str(tmp_path / "new"))

    done = there.run("restore", str(tmp_path / "house.tar.gz"))

    assert done.code == 0, done.err
    assert "restored to" in done.err
    taken = there.run("create-admin", "--username", "ada", stdin=f"{PASSWORD}\n")
    assert taken.code != 0
    assert "Taken already" in taken.err
    again = there.run("restore", str(tmp_path / "house.tar.gz"))
    assert again.code == 75
    assert "not empty" in again.err
