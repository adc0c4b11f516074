"""Keys of the settings and keys of a file."""

import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from longhouse.kit.errors import Misconfigured
from longhouse.kit.keys import FixedKeys, KeyFile, keys_from, new_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys"


def test_a_key_is_made_once_for_its_owner_only(path: Path) -> None:
    keys = KeyFile(path).newest_first()

    assert len(keys) == 1
    assert KeyFile(path).newest_first() == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys"], "no draft is left"


def test_processes_that_start_at_once_have_the_same_key(path: Path) -> None:
    found: list[tuple[str, ...]] = []
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait()
        found.append(KeyFile(path).newest_first())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 1


def test_a_rotation_puts_a_new_key_first_and_keeps_the_one_before(path: Path) -> None:
    file = KeyFile(path)
    (old,) = file.newest_first()

    file.rotate()
    new, kept = file.newest_first()
    file.rotate()

    assert kept == old
    assert new != old
    assert file.newest_first()[1:] == (new,), "what is two rotations old is dropped"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_rotation_keeps_what_is_still_used(path: Path) -> None:
    file = KeyFile(path)
    (oldest,) = file.newest_first()
    file.rotate()

    file.rotate(still_used=lambda key: key == oldest)

    assert file.newest_first()[2] == oldest


def test_a_running_process_follows_a_rotation(path: Path) -> None:
    server, operator = KeyFile(path), KeyFile(path)
    before = server.newest_first()

    operator.rotate()

    assert server.newest_first() == operator.newest_first() != before


def test_keys_of_the_settings_win_over_the_file(path: Path) -> None:
    given, other = new_key(), new_key()

    assert keys_from(SecretStr(given), None, file=path).newest_first() == (given,)
    both = keys_from(SecretStr(given), SecretStr(other), file=path)
    assert both.newest_first() == (given, other)
    assert not path.exists()


def test_without_a_setting_the_file_has_the_key(path: Path) -> None:
    assert keys_from(None, None, file=path).newest_first() == KeyFile(path).newest_first()


def test_an_unwritable_place_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Misconfigured, match="LONGHOUSE_DATA_DIR"):
        KeyFile(tmp_path / "file" / "keys").newest_first()


@pytest.mark.parametrize("content", ["", "short\n", "\N{SNOWMAN}" * 40])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)

    with pytest.raises(Misconfigured):
        KeyFile(path).newest_first()

    assert path.read_text() == content


def test_fixed_keys_stay() -> None:
    assert FixedKeys("a", "b").newest_first() == ("a", "b")
