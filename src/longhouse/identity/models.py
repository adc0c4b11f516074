"""What identity knows: tenants, users, memberships, logins, set-up links, secrets, audit entries.

The tables and the values read from them. Every room above imports the ids from here; nothing here
reads or writes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

from longhouse.identity.scopes import TenantRole
from longhouse.kit.db.tables import Document, JsonDocument, UtcDateTime, metadata

TenantId = NewType("TenantId", str)
"""A *proved* tenant id: the caller may act in that tenant. Only `identity.auth` makes one."""

UserId = NewType("UserId", str)
LoginId = NewType("LoginId", str)
KeyId = NewType("KeyId", str)

SecretHash = NewType("SecretHash", str)
"""What is kept of one secret of an API key; who came with that secret is known by it."""

USERNAME_CHARACTERS = 64
EMAIL_CHARACTERS = 254  # the longest address SMTP can carry
NAME_CHARACTERS = 200
USER_AGENT_CHARACTERS = 400


class SystemRole(StrEnum):
    """What a user may do on this server, whatever the tenant."""

    ADMIN = "admin"  # everything
    USER = "user"  # what the memberships say


class TenantType(StrEnum):
    """What kind of organisation a tenant is."""

    PERSONAL = "personal"  # of one person
    ENTERPRISE = "enterprise"  # of several


class TenantStatus(StrEnum):
    """Whether a tenant may be used."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # everything is kept and nothing may be done, until it is resumed
    DELETED = "deleted"  # as good as gone; for a while it can be restored


class KeyStatus(StrEnum):
    """Whether an API key may be used, as somebody decided; it may have expired besides."""

    ACTIVE = "active"
    DISABLED = "disabled"


class ActorKind(StrEnum):
    """Who did something, as the audit tells it."""

    USER = "user"  # a signed-in person
    KEY = "key"  # a program with an API key
    NETWORK = "network"  # a program on a network the operator trusts
    ANONYMOUS = "anonymous"  # somebody who was not signed in (yet)
    SYSTEM = "system"  # the server itself or its command line


class Outcome(StrEnum):
    """How an audited attempt ended."""

    DONE = "done"
    REFUSED = "refused"  # not allowed, or a wrong credential


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


tenants = Table(
    "tenants",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("name_key", String, nullable=False),  # what names are compared by: `names.key_of`
    Column("type", String, nullable=False, server_default=TenantType.ENTERPRISE),
    Column("description", String, nullable=False, server_default=""),
    Column("contact_email", String, nullable=True),
    Column("config", Document, nullable=False, server_default="{}"),  # of its programs, not ours
    Column("status", String, nullable=False, server_default=TenantStatus.ACTIVE),
    Column("owner_id", String, ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime, nullable=True),
    _one_of("type", TenantType),
    _one_of("status", TenantStatus),
    CheckConstraint("(status = 'deleted') = (deleted_at IS NOT NULL)", name="deleted_whole"),
)
# One name, one tenant; that of a deleted tenant is free.
Index(
    "tenants_by_name",
    tenants.c.name_key,
    unique=True,
    sqlite_where=text("status <> 'deleted'"),
    postgresql_where=text("status <> 'deleted'"),
)
# Few: what claims of runs and sweeps look through.
Index(
    "tenants_not_active",
    tenants.c.id,
    sqlite_where=text("status <> 'active'"),
    postgresql_where=text("status <> 'active'"),
)

users = Table(
    "users",
    metadata,
    Column("id", String, primary_key=True),
    Column("username", String, nullable=False),
    # What sign-in compares: case-folded, so that Ada and ada are one.
    Column("username_key", String, nullable=False, unique=True),
    Column("email", String, nullable=False),
    Column("email_key", String, nullable=False, unique=True),
    Column("display_name", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("role", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    _one_of("role", SystemRole),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", String, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", String, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("role", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("user_id", "tenant_id"),
    Index("memberships_by_tenant", "tenant_id"),
    _one_of("role", TenantRole),
)

logins = Table(
    "logins",
    metadata,
    Column("id", String, primary_key=True),
    Column("user_id", String, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime, nullable=True),
    # A refresh token has two halves: one that names the login for its whole life, and one that
    # changes with every use. Only SHA-256 hashes of both are kept.
    Column("family_hash", String, nullable=False, unique=True),
    Column("refresh_hash", String, nullable=False),
    Column("refreshed_at", UtcDateTime, nullable=False),
    Column("address", String, nullable=False),
    Column("user_agent", String, nullable=False),
    Index("logins_by_user", "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant_id", String, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    # Without a foreign key: agents belong to a room above, which deletes their keys with them.
    Column("agent_id", String, nullable=True),  # NULL: a key of the whole tenant
    Column("name", String, nullable=False),
    Column("name_key", String, nullable=False),
    Column("description", String, nullable=False, server_default=""),
    Column("permissions", Document, nullable=False),  # texts; some are scopes of ours
    Column("status", String, nullable=False),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("created_by", String, nullable=True),  # id of a user or a key
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # Kept by `key_uses`, some seconds late, in statements that touch nothing else.
    Column("last_used_at", UtcDateTime, nullable=True),
    Column("use_count", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("tenant_id", "name_key"),
    Index("api_keys_by_agent", "tenant_id", "agent_id"),
    _one_of("status", KeyStatus),
)

# What opens the door: while a key is rotated it has two.
api_key_secrets = Table(
    "api_key_secrets",
    metadata,
    Column("hash", String, primary_key=True),  # keyed, of the whole text
    Column("key_id", String, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("hint", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=True),  # NULL: as long as the key
    Index("api_key_secrets_by_key", "key_id"),
)

setup_links = Table(
    "setup_links",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
)

sign_in_tries = Table(
    "sign_in_tries",
    metadata,
    Column("key", String, primary_key=True),  # see `slowdown`
    Column("count", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("free_at", UtcDateTime, nullable=False),
    Index("sign_in_tries_by_age", "last_at"),
)

HOUSE = "house"
"""The owner of a secret that belongs to no tenant."""

encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("id", String, primary_key=True),  # `kit.crypto.MasterKey.id`
    Column("canary", LargeBinary, nullable=False),  # known text under this very key
    Column("created_at", UtcDateTime, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", String, nullable=False),  # a tenant's id, or `HOUSE`
    Column("purpose", String, nullable=False),
    Column("name", String, nullable=False),
    Column("tenant_id", String, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=True),
    Column("key_id", String, nullable=False),  # of the master key that `sealed` needs
    Column("sealed", LargeBinary, nullable=False),  # bound to the first three columns
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("owner", "purpose", "name"),
    Index("secrets_by_key", "key_id"),
    Index("secrets_by_tenant", "tenant_id"),
    CheckConstraint("owner = COALESCE(tenant_id, 'house')", name="owner_is_tenant"),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    # No foreign keys: the entry outlives whom and what it speaks of.
    Column("tenant_id", String, nullable=True),
    Column("actor_kind", String, nullable=False),
    Column("actor_id", String, nullable=True),
    Column("action", String, nullable=False),
    Column("target", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason", String, nullable=True),
    Column("before_digest", String, nullable=True),
    Column("after_digest", String, nullable=True),
    Column("address", String, nullable=False),
    Column("request_id", String, nullable=False),
    # Its place in a chain of hashes, see `audit`: each entry's covers the one before it.
    Column("chain", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String, nullable=False),
    UniqueConstraint("chain", "seq"),
    Index("audit_entries_by_chain", "chain", "id"),
    _one_of("actor_kind", ActorKind),
    _one_of("outcome", Outcome),
)

audit_chains = Table(
    "audit_chains",
    metadata,
    Column("name", String, primary_key=True),
    # The newest entry: what is missing at the end shows, too.
    Column("last_seq", BigInteger, nullable=False),
    Column("last_hash", String, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An organisation: owns every other row except users."""

    id: str  # not proved: see `TenantId`
    name: str
    type: TenantType = TenantType.ENTERPRISE
    description: str = ""
    contact_email: str | None = None
    config: dict[str, JsonDocument] = field(default_factory=dict)
    status: TenantStatus = TenantStatus.ACTIVE
    owner_id: UserId | None = None  # who it was made for
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who signs in. Without the password's hash: that stays in the store."""

    id: UserId
    username: str
    email: str
    display_name: str
    role: SystemRole
    active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A user's place in one tenant."""

    tenant_id: str
    tenant_name: str
    tenant_status: TenantStatus
    role: TenantRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user as one tenant sees them."""

    user_id: UserId
    username: str
    display_name: str
    email: str
    active: bool
    role: TenantRole
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A signed-in session of a user; its access and refresh tokens live and die with it."""

    id: LoginId
    user_id: UserId
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    refresh_hash: str
    refreshed_at: datetime

    def is_live(self, now: datetime) -> bool:
        """Whether its tokens still count."""
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLogin:
    """A live login as its user sees it among others."""

    id: LoginId
    created_at: datetime
    refreshed_at: datetime  # when it was last seen, give or take the life of an access token
    expires_at: datetime
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A credential of a tenant, for programs. Without its secret: nobody has that but its owner."""

    id: KeyId
    tenant_id: str  # not proved
    agent_id: str | None
    name: str
    description: str
    permissions: tuple[str, ...]
    status: KeyStatus
    expires_at: datetime | None
    hint: str  # the end of its newest secret
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    use_count: int

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who an audit entry speaks of, and where the request came from."""

    kind: ActorKind
    id: str | None  # None for the system and for somebody unknown
    address: str = ""
    request_id: str = ""


SYSTEM = Actor(kind=ActorKind.SYSTEM, id=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to what, when, from where, with what outcome."""

    id: str  # sorts by time
    at: datetime
    tenant_id: str | None
    actor: Actor
    action: str  # `<what>.<done>`, e.g. `login.created`
    target: str  # id of the thing, or what was named where there is none
    outcome: Outcome
    reason: str | None
    before_digest: str | None
    after_digest: str | None
