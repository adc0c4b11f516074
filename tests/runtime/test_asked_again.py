"""What a vendor gets of a conversation that goes on in a new process: exactly what it said."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.patience import PATIENCE
from tests.peers.dialects.anthropic import sealed
from tests.peers.fakellm import FakeVendor

from longhouse.runtime.models.endpoint import WireProtocol

PICTURE = b"\x89PNG\r\n\x1a\n of a house"
FIRST: list[Any] = [
    [{"think": "Let me see."}, {"redact": "A secret."}, {"tool": ["fs_glob", {"pattern": "*"}]}],
    [{"think": "Nothing there."}, {"say": "It is empty."}],
]


async def ask(folder: Path, vendor: FakeVendor, protocol: WireProtocol, *words: str) -> str:
    """The answer that a new process gets."""
    url = vendor.openai_url if protocol is WireProtocol.OPENAI else vendor.url
    asker = Path(__file__).with_name("asker.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(asker),
        str(folder),
        str(protocol),
        url,
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        said, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    return said.decode()


@pytest.mark.parametrize("protocol", list(WireProtocol))
async def test_thinking_and_pictures_go_back_as_they_came(
    tmp_path: Path, protocol: WireProtocol
) -> None:
    picture = tmp_path / "house.png"
    picture.write_bytes(PICTURE)
    async with FakeVendor() as vendor:
        first = f"What is there? FAKE:{json.dumps(FIRST)}"
        assert await ask(tmp_path, vendor, protocol, first, str(picture)) == "It is empty."
        picture.unlink()

        second = 'And now? FAKE:[{"say": "Still."}]'
        assert await ask(tmp_path, vendor, protocol, second) == "Still."

    _, called, again = [exchange.body["messages"] for exchange in vendor.requests]
    assert base64.b64encode(PICTURE).decode() in json.dumps(again)
    # What the vendor was told before is told again, word for word: what it cached still holds.
    assert without_marks(again[: len(called)]) == without_marks(called)
    answers = [message for message in again if message["role"] == "assistant"]
    if protocol is WireProtocol.OPENAI:
        thoughts = [message.get("reasoning_content") for message in answers]
        assert thoughts == ["Let me see.", "Nothing there."]
    else:
        thought, secret, _ = answers[0]["content"]
        assert (thought["thinking"], thought["signature"]) == ("Let me see.", sealed("Let me see."))
        assert secret == {"type": "redacted_thinking", "data": sealed("A secret.")}
        assert answers[1]["content"][0]["signature"] == sealed("Nothing there.")


def without_marks(messages: list[Any]) -> list[Any]:
    """The messages without the marks of what the vendor is to keep in its cache: they move on."""
    text = json.dumps(messages)
    return list(json.loads(text, object_hook=_unmarked))


def _unmarked(value: dict[str, Any]) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key != "cache_control"}
