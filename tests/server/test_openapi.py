"""The OpenAPI document, from which clients are generated."""

import json
from pathlib import Path

import httpx2

from longhouse.server import openapi


def test_the_document_is_written_to_a_file(tmp_path: Path) -> None:
    openapi.main([str(tmp_path / "openapi.json")])

    document = json.loads((tmp_path / "openapi.json").read_text("utf-8"))
    assert document["info"]["title"] == "Longhouse"
    assert openapi.document() == (tmp_path / "openapi.json").read_text("utf-8")


def test_the_client_of_the_console_is_made_from_this_very_document() -> None:
    kept = Path(__file__).parents[2] / "web" / "openapi.json"

    assert kept.read_text("utf-8") == openapi.document(), (
        "Write it anew: python -m longhouse.server.openapi web/openapi.json"
    )


def test_every_operation_has_a_name_of_its_own_and_a_description() -> None:
    document = json.loads(openapi.document())

    operations = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert [
        operation["operationId"] for operation in operations if not operation["description"]
    ] == []


def test_failures_are_described_as_problems() -> None:
    document = json.loads(openapi.document())

    answers = document["paths"]["/api/v1/auth/login"]["post"]["responses"]
    assert set(answers) == {"200", "4XX"}
    assert "Problem" in document["components"]["schemas"]


async def test_the_server_serves_its_document(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/openapi.json")

    assert answer.json() == json.loads(openapi.document())
