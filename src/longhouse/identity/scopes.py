"""What may be done in a tenant, and which role may do what.

A scope is `<what>:<may>`. Services ask for one with `principal.require`; an API key carries some of
its own. Values only.
"""

from enum import StrEnum


class TenantRole(StrEnum):
    """What a user may do in one tenant."""

    OWNER = "owner"  # everything, and gives the tenant away
    ADMIN = "admin"  # everything but that
    MEMBER = "member"  # works with agents
    VIEWER = "viewer"  # looks


_VIEW = frozenset({"agents:read", "plugins:read", "posts:read", "sessions:read", "tenant:read"})
_WORK = _VIEW | {"agents:write", "approvals:decide", "sessions:write", "workspaces:write"}
_MANAGE = _WORK | {
    "audit:read",
    "keys:read",
    "keys:validate",
    "keys:write",
    "members:read",
    "members:write",
    "plugins:write",
    "posts:write",
    "tenant:write",
}
_OWN = _MANAGE | {"tenant:delete", "tenant:transfer"}

SCOPES: dict[TenantRole, frozenset[str]] = {
    TenantRole.OWNER: _OWN,
    TenantRole.ADMIN: _MANAGE,
    TenantRole.MEMBER: _WORK,
    TenantRole.VIEWER: _VIEW,
}
"""The scopes of each tenant role."""

ALL_SCOPES = _OWN

PEOPLE_ONLY = frozenset({"tenant:delete", "tenant:transfer"})
"""What no key may carry: a program does not give a tenant away."""

OF_ONE_AGENT = frozenset(
    {
        "agents:read",
        "agents:write",
        "approvals:decide",
        "keys:validate",
        "plugins:read",
        "plugins:write",
        "posts:read",
        "sessions:read",
        "sessions:write",
        "tenant:read",
        "workspaces:write",
    }
)
"""What a key that is bound to one agent may carry: all else concerns the whole tenant."""
