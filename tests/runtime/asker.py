"""A process that asks the agent `a` one thing, with a vendor's model, and ends.

    python asker.py <folder> <protocol> <base URL> <message> [attachment]

The journal in the folder is all that two such processes share. It says the answer on its standard
output.
"""

import asyncio
import sys
from pathlib import Path

from longhouse.runtime import (
    Attachment,
    FixedModels,
    Mode,
    Permissions,
    Post,
    Runtime,
    SQLiteJournal,
)
from longhouse.runtime.attachments import MEDIA_TYPES
from longhouse.runtime.models.endpoint import Endpoint, WireProtocol
from longhouse.runtime.models.vendors import VendorModel
from longhouse.runtime.sandbox.refuse import Refuse


async def main(folder: Path, protocol: str, url: str, message: str, *files: str) -> None:
    """Open, ask, end."""
    endpoint = Endpoint(
        protocol=WireProtocol(protocol),
        base_url=url,
        api_key="k",
        model="fake-1",
        vendor="fake",
        media_types=MEDIA_TYPES,
    )
    model = VendorModel(endpoint)
    async with Runtime(
        journal=SQLiteJournal(folder / "agents.db"),
        models=FixedModels(model),
        posts=[Post(name="worker", permissions=Permissions(mode=Mode.AUTO))],
        sandbox=Refuse("this test runs no commands", hint=""),
        workspaces=folder / "workspaces",
    ) as runtime:
        agent = await runtime.agent("a", post="worker")
        attachments = [Attachment.of_file(file) for file in files]
        sys.stdout.write(await agent.ask(message, attachments=attachments))
    await model.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
