"""What a tenant has, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from longhouse.agents.states import AgentStatus
from longhouse.agents.store import overview as store
from longhouse.identity.auth import Principal
from longhouse.kit.db.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A tenant in numbers."""

    agents: Mapping[AgentStatus, int]  # none where it is missing
    posts: int
    users: int  # its members
    database: str  # `sqlite` or `postgresql`


class Overview:
    """Counts what tenants have. One for each process."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def numbers(self, principal: Principal) -> Numbers:
        """The principal's tenant in numbers."""
        principal.require("agents:read")
        tenant_id = principal.tenant_id

        def work(conn: Connection) -> Numbers:
            return Numbers(
                agents=store.agents_by_status(conn, tenant_id),
                posts=store.count_posts(conn, tenant_id),
                users=store.count_users(conn, tenant_id),
                database=self._database.dialect,
            )

        return await self._database.read(work)
