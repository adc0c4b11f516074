"""`longhouse` and `python -m longhouse`: the command line, or how to get it.

The library comes with this command and without the packages that it needs. Nothing that may be
missing is imported here but by name.
"""

import importlib
import sys

from longhouse.cli.errors import NotInstalled, one_line


def main() -> int:
    """Run what was typed. Returns the exit code."""
    try:
        command_line = importlib.import_module("longhouse.cli.main")
    except ModuleNotFoundError as missing:
        error = NotInstalled("The command line", missing)
        print(f"error: {one_line(error)}", file=sys.stderr)  # noqa: T201 - nothing else is there
        return error.exit_code
    return int(command_line.main())


if __name__ == "__main__":
    sys.exit(main())
