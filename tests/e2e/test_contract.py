"""Every operation of the OpenAPI document, asked with what the document allows and what it refuses.

schemathesis makes the requests, the same ones each time; a real server answers them. No answer may
be an error of ours, and each has to be one that the document tells of. How many there are for each
operation is LONGHOUSE_TEST_EXAMPLES (8 of each kind).
"""

import contextlib
import ipaddress
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi.schemas import OpenApiSchema
from tests.e2e.people import ACCOUNT, PASSWORD
from tests.e2e.servers import LINK, LONGHOUSE, environment
from tests.patience import PATIENCE
from tests.ports import kept_port

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "web" / "openapi.json").read_text("utf-8"))
ENDLESS = "/stream"  # tests of their own are about what does not end
OPERATIONS = [
    (method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method in methods
    if not path.endswith(ENDLESS)
]
EXAMPLES = int(os.environ.get("LONGHOUSE_TEST_EXAMPLES", "8"))
API = "/api/v1"
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("contract"), pytest.mark.timeout(600)]


@dataclass
class House:
    """A server, and somebody who may do everything there."""

    server: str
    headers: dict[str, str] = field(default_factory=dict)
    # Guessers are slowed down by address: each request comes from another one.
    places: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """What the server answers."""
        return requests.request(
            method, self.server + path, json=body, headers=self.sent(), timeout=PATIENCE
        )

    def sent(self) -> dict[str, str]:
        """The headers of the next request."""
        here = ipaddress.ip_address("10.0.0.0") + next(self.places)
        return self.headers | {"x-forwarded-for": str(here)}

    def set_up(self, token: str) -> None:
        """Be the first admin."""
        self._be(self.ask("POST", f"{API}/setup", {"token": token, **ACCOUNT}))

    def be_signed_in(self) -> None:
        """Be somebody also after a request that has ended the login."""
        if self.ask("GET", f"{API}/auth/me").status_code == 401:
            credentials = {"username": ACCOUNT["username"], "password": PASSWORD}
            self.headers = {}
            self._be(self.ask("POST", f"{API}/auth/login", credentials))

    def things(self) -> dict[str, str]:
        """The ids of things that are there, by the names that paths have for them."""
        post = self.ask("GET", f"{API}/posts").json()["items"][0]["id"]
        name = f"Agent {next(self.places)}"
        agent = self.ask("POST", f"{API}/agents", {"name": name, "post_id": post}).json()["id"]
        session = self.ask("POST", f"{API}/agents/{agent}/sessions", {}).json()["id"]
        tenant = self.ask("GET", f"{API}/auth/me").json()["tenant"]["id"]
        return {"agent_id": agent, "session_id": session, "post_id": post, "tenant_id": tenant}

    def _be(self, answer: requests.Response) -> None:
        assert answer.ok, answer.text
        self.headers = {"authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server of these tests."""
    directory = tmp_path_factory.mktemp("contract")
    with kept_port() as port:
        yield from _served(directory, port)


def _served(directory: Path, port: int) -> Iterator[House]:
    """The server at that port, until the tests are over."""
    address = f"http://127.0.0.1:{port}"
    given = {
        "LONGHOUSE_DATA_DIR": str(directory / "house"),
        "LONGHOUSE_SANDBOX": "off",
        "LONGHOUSE_PORT": str(port),
        # As behind a proxy: what a request says of its origin is believed.
        "LONGHOUSE_PUBLIC_URL": address,
    }
    log = directory / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [LONGHOUSE, "serve"],
            env=environment(given),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    try:
        made = House(address)
        made.set_up(_token(process, log))
        yield made
    finally:
        process.terminate()
        process.communicate()
    assert "Traceback" not in log.read_text("utf-8", "replace")


def _token(process: subprocess.Popen[str], log: Path) -> str:
    """The token of the one-time link, once it is printed."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := LINK.search(line):
            return found[2]
    raise AssertionError(log.read_text("utf-8", "replace"))


@pytest.fixture(scope="module")
def schema() -> OpenApiSchema:
    """What schemathesis makes of the document."""
    return schemathesis.openapi.from_dict(DOCUMENT)


@pytest.mark.parametrize(
    ("method", "path"), OPERATIONS, ids=[" ".join(each) for each in OPERATIONS]
)
def test_it_answers_as_the_document_says(
    house: House, schema: OpenApiSchema, method: str, path: str
) -> None:
    operation = schema[path][method]
    house.be_signed_in()
    things = {name: its for name, its in house.things().items() if f"{{{name}}}" in path}
    kinds = [
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE, path_parameters=things),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, path_parameters=things),
    ]
    for kind in kinds:

        @given(case=kind)
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            answer = case.call(base_url=house.server, headers=house.sent(), timeout=PATIENCE)
            case.validate_response(answer, checks=list(CHECKS))

        with contextlib.suppress(Unsatisfiable):  # there is nothing to get wrong
            ask()
