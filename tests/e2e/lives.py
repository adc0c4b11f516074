"""The server of `test_kill`, many times: a program that is `longhouse serve` again and again.

    python lives.py

Each line on its standard input begins a life: a forked process that is told the command line
`longhouse serve` and has the imports behind it, which are most of what a start costs. Nothing else
is shared between lives: no thread, no loop and no open file exists before the fork. It says on its
standard output, one line each, beside what the server prints:

    life <pid>        a life began
    over <status>     it ended, whichever way
"""

import os
import sys

# What a server imports when it needs it, here once for all lives.
import openai  # noqa: F401
import pydantic_ai.models.openai
import pydantic_ai.providers.openai_compatible  # noqa: F401

import longhouse.cli.serve
import longhouse.runtime.models.vendor_wire  # noqa: F401
from longhouse.cli.main import main


def live_again_and_again() -> None:
    """Live once for each line of the standard input."""
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.argv = ["longhouse", "serve"]
            sys.exit(main())
        tell(f"life {pid}")
        _, status = os.waitpid(pid, 0)
        tell(f"over {os.waitstatus_to_exitcode(status)}")


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one call, so that no line is ever torn


if __name__ == "__main__":
    live_again_and_again()
