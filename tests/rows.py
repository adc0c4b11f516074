"""Rows that tests of several rooms stand on."""

from datetime import datetime


def tenant_row(tenant_id: str, now: datetime) -> dict[str, object]:
    """A tenant that is called by its id."""
    return {
        "id": tenant_id,
        "name": tenant_id,
        "name_key": tenant_id,
        "created_at": now,
        "updated_at": now,
    }
