"""The file of logins: private, whole, one writer at a time."""

import stat
import threading
from pathlib import Path

import pytest

from longhouse.cli.credentials import (
    DEFAULT_SERVER,
    Credentials,
    Login,
    config_directory,
    normal_address,
    server_address,
)
from longhouse.cli.errors import BrokenCredentials

HERE = "http://here.test"
THERE = "http://there.test"


def login(token: str) -> Login:
    return Login(username="ada", access_token=token, refresh_token="r", expires_at=1.0)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "config" / "longhouse")


def put(credentials: Credentials, server: str, token: str, *, current: bool = True) -> None:
    with credentials.locked():
        credentials.put(server, login(token), current=current)


class TestFile:
    def test_a_login_is_found_again_for_its_server_only(self, credentials: Credentials) -> None:
        put(credentials, HERE, "one")
        put(credentials, THERE, "two")

        assert credentials.find(HERE) == login("one")
        assert credentials.find(THERE) == login("two")
        assert credentials.find("http://elsewhere.test") is None

    def test_only_its_owner_may_read_it(self, credentials: Credentials) -> None:
        put(credentials, HERE, "one")

        assert stat.S_IMODE(credentials.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(credentials.path.parent.stat().st_mode) == 0o700

    def test_a_file_that_others_could_read_is_private_after_the_next_write(
        self, credentials: Credentials
    ) -> None:
        put(credentials, HERE, "one")
        credentials.path.chmod(0o644)

        put(credentials, HERE, "two")

        assert stat.S_IMODE(credentials.path.stat().st_mode) == 0o600

    def test_the_last_sign_in_names_the_server(self, credentials: Credentials) -> None:
        put(credentials, HERE, "one")
        put(credentials, THERE, "two")
        put(credentials, HERE, "refreshed", current=False)

        assert credentials.current_server() == THERE

    def test_a_removed_login_is_gone_and_another_server_is_current(
        self, credentials: Credentials
    ) -> None:
        put(credentials, HERE, "one")
        put(credentials, THERE, "two")

        with credentials.locked():
            assert credentials.remove(THERE)
            assert not credentials.remove(THERE)

        assert credentials.find(THERE) is None
        assert credentials.current_server() == HERE

    def test_a_broken_file_says_what_to_do(self, credentials: Credentials) -> None:
        put(credentials, HERE, "one")
        credentials.path.write_text("{")

        with pytest.raises(BrokenCredentials, match="Delete it and sign in again"):
            credentials.find(HERE)

    def test_writers_wait_for_each_other(self, credentials: Credentials) -> None:
        def add(number: int) -> None:
            put(credentials, f"http://{number}.test", str(number))

        threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = {credentials.find(f"http://{number}.test") for number in range(8)}
        assert found == {login(str(number)) for number in range(8)}


class TestServer:
    def test_the_one_named_counts_first_then_the_last_sign_in_then_this_machine(
        self, credentials: Credentials
    ) -> None:
        assert server_address(None, credentials) == DEFAULT_SERVER
        put(credentials, HERE, "one")
        assert server_address("", credentials) == HERE
        assert server_address(THERE, credentials) == THERE

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("localhost:8420", "http://localhost:8420"),
            ("https://house.test/", "https://house.test"),
            ("https://house.test/api/v1/", "https://house.test"),
            ("", ""),
        ],
    )
    def test_addresses_come_in_one_form(self, typed: str, meant: str) -> None:
        assert normal_address(typed) == meant

    def test_the_directory_follows_the_xdg_specification(self) -> None:
        assert config_directory({"XDG_CONFIG_HOME": "/x"}) == Path("/x/longhouse")
        relative = config_directory({"XDG_CONFIG_HOME": "relative"})
        assert relative == Path.home() / ".config" / "longhouse"
