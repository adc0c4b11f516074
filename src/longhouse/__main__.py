"""`python -m longhouse`: the same as the command `longhouse`."""

import sys

from longhouse.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
