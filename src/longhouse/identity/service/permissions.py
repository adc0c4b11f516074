"""Answers whether somebody may do something: for programs that ask before they offer it.

`api.permissions` calls it for HTTP. It decides nothing of its own: it says what `require` would do.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from longhouse.identity import auth
from longhouse.identity.auth import Principal
from longhouse.identity.errors import NoSuchAgent, NoSuchMember
from longhouse.identity.scopes import ALL_SCOPES, SCOPES
from longhouse.identity.service.keys import AgentKnown
from longhouse.identity.store import members
from longhouse.kit.db.database import Database
from longhouse.kit.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether it may be done, and why or why not."""

    allowed: bool
    reason: str


class Permissions:
    """Answers questions of permission. One for each process."""

    def __init__(self, *, database: Database, agent_known: AgentKnown) -> None:
        self._database = database
        self._agent_known = agent_known

    async def ask(
        self,
        principal: Principal,
        scope: str,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
    ) -> Answer:
        """Whether the principal, or a member of its tenant, has a scope there.

        `agent_id`: to this agent. Raises `InvalidInput` for an unknown scope, `NoSuchAgent`,
        `NoSuchMember`, and `ScopeMissing` for who may not ask about others.
        """
        if scope not in ALL_SCOPES:
            message = f"There is no scope {scope[:80]!r}."
            raise InvalidInput(
                message,
                hint=f"The scopes are: {', '.join(sorted(ALL_SCOPES))}.",
                errors=[{"field": "scope", "message": message}],
            )
        if agent_id is not None:
            await self._check_agent(principal, agent_id)
        if user_id is not None and user_id != principal.id:
            return await self._of_member(principal, scope, user_id)
        return Answer(allowed=principal.may(scope), reason=auth.standing_of(principal))

    async def _check_agent(self, principal: Principal, agent_id: str) -> None:
        def known(conn: Connection) -> bool:
            return self._agent_known(conn, principal.tenant_id, agent_id)

        if not principal.reaches(agent_id) or not await self._database.read(known):
            raise NoSuchAgent(agent_id)

    async def _of_member(self, principal: Principal, scope: str, user_id: str) -> Answer:
        principal.require("members:read")
        member = await self._database.read(
            lambda conn: members.find(conn, principal.tenant_id, user_id)
        )
        if member is None:
            raise NoSuchMember(user_id)
        allowed = member.active and scope in SCOPES[member.role]
        state = "" if member.active else ", deactivated"
        return Answer(allowed=allowed, reason=f"role {member.role} in this tenant{state}")
