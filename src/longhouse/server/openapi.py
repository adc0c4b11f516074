"""Writes the OpenAPI document: `python -m longhouse.server.openapi [FILE]`.

The console's client is generated from it. It opens no house; the same code gives the same bytes.
"""

import json
import sys
from pathlib import Path

from longhouse.server.app import build_api


def document() -> str:
    """The document as JSON text."""
    return json.dumps(build_api().openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> None:
    """Write it to the file named, or to standard output."""
    if arguments:
        Path(arguments[0]).write_text(document(), encoding="utf-8")
    else:
        sys.stdout.write(document())


if __name__ == "__main__":
    main(sys.argv[1:])
