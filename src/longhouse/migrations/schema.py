"""Which tables there should be: the metadata once every room's `models.py` is imported.

For Alembic's comparison and for tests; a running server imports its rooms anyway.
"""

import importlib
import importlib.util
import pkgutil
from pathlib import Path

from sqlalchemy import MetaData

import longhouse
from longhouse.kit.db.tables import metadata


def complete_metadata() -> MetaData:
    """The tables of all rooms."""
    for room in pkgutil.iter_modules(longhouse.__path__):
        name = f"longhouse.{room.name}.models"
        # A file, not a folder: `runtime/models/` holds language models.
        if room.ispkg and _is_file(name):
            importlib.import_module(name)
    return metadata


def _is_file(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None and Path(spec.origin).stem == "models"
