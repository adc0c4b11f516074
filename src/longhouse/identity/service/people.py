"""The users of the server, as its admins manage them.

`api.people` calls it for HTTP. The server always keeps an active admin. Whoever is deactivated,
deleted, given another role or another password is signed out everywhere at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from longhouse.identity import audit
from longhouse.identity.accounts import NewUser, checked, checked_changes, sign_in_key
from longhouse.identity.auth import CREDENTIALS_TOPIC, Caller
from longhouse.identity.errors import LastAdmin, NameTaken, NoSuchUser
from longhouse.identity.models import Actor, SystemRole, User, UserId
from longhouse.identity.passwords import Passwords
from longhouse.identity.store import logins, users
from longhouse.kit.bus.base import Bus
from longhouse.kit.clock import Clock
from longhouse.kit.db.database import Database, unique_violation
from longhouse.kit.db.pages import Page
from longhouse.kit.errors import Json
from longhouse.kit.ids import new_id

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChanges:
    """What changes of a user. None: as before."""

    username: str | None = None
    password: str | None = None
    email: str | None = None
    display_name: str | None = None
    role: SystemRole | None = None
    active: bool | None = None


class People:
    """The users. One for each process."""

    def __init__(self, *, database: Database, bus: Bus, clock: Clock, passwords: Passwords) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._passwords = passwords

    async def newest(
        self,
        caller: Caller,
        *,
        search: str | None = None,
        role: SystemRole | None = None,
        active: bool | None = None,
        after: str | None,
        limit: int,
    ) -> Page[User]:
        """All users, the newest first. Raises `AdminsOnly`."""
        caller.require_admin()
        return await self._database.read(
            lambda conn: users.newest(
                conn, search=search, role=role, active=active, after=after, limit=limit
            )
        )

    async def get(self, caller: Caller, user_id: str) -> User:
        """One user. Raises `NoSuchUser`: others than admins see nobody but themselves."""
        if caller.role is not SystemRole.ADMIN and caller.id != user_id:
            raise NoSuchUser(user_id)
        return await self._database.read(lambda conn: _found(conn, user_id))

    async def create(
        self, caller: Caller, new: NewUser, *, role: SystemRole, active: bool = True
    ) -> User:
        """Add a user. Raises `AdminsOnly`, `InvalidInput`, `NameTaken`."""
        caller.require_admin()
        new = checked(new)
        password_hash = await self._passwords.hash(new.password)
        now = self._clock.now()
        return await write_unique(
            self._database,
            lambda conn: add_user(
                conn, new, password_hash, role=role, active=active, actor=caller, now=now
            ),
        )

    async def change(self, caller: Caller, user_id: str, changes: UserChanges) -> User:
        """Change a user. Raises `AdminsOnly`, `InvalidInput`, `NameTaken`, `LastAdmin`."""
        caller.require_admin()
        given = checked_changes(
            username=changes.username,
            password=changes.password,
            email=changes.email,
            display_name=changes.display_name,
        )
        password = given.get("password")
        password_hash = None if password is None else await self._passwords.hash(password)
        now = self._clock.now()

        def work(conn: Connection) -> User:
            admins = users.lock_admins(conn)
            before = _found(conn, user_id, lock=True)
            after = replace(
                before,
                username=given.get("username", before.username),
                email=given.get("email", before.email),
                display_name=given.get("display_name", before.display_name),
                role=changes.role or before.role,
                active=before.active if changes.active is None else changes.active,
            )
            if not (after.active and after.role is SystemRole.ADMIN):
                _leave_an_admin(admins, after.id)
            _store(conn, after, password_hash=password_hash)
            if password_hash or not after.active or after.role is not before.role:
                logins.revoke_all(conn, after.id, now=now)
            _record(conn, caller, "user.changed", before=before, after=after, now=now)
            return after

        changed = await write_unique(self._database, work)
        self._bus.publish(CREDENTIALS_TOPIC)
        return changed

    async def delete(self, caller: Caller, user_id: str) -> None:
        """Delete a user for good; what they did stays. Raises `AdminsOnly`, `LastAdmin`."""
        caller.require_admin()
        now = self._clock.now()

        def work(conn: Connection) -> None:
            admins = users.lock_admins(conn)
            before = _found(conn, user_id, lock=True)
            _leave_an_admin(admins, before.id)
            users.remove(conn, before.id)
            _record(conn, caller, "user.deleted", before=before, now=now)

        await self._database.write(work)
        self._bus.publish(CREDENTIALS_TOPIC)


# --- steps that others share ----------------------------------------------------------------------


def add_user(
    conn: Connection,
    new: NewUser,
    password_hash: str,
    *,
    role: SystemRole,
    active: bool = True,
    actor: Caller | Actor,
    now: datetime,
) -> User:
    """Store a new user that was `checked`. Raises `NameTaken`."""
    user = User(
        id=UserId(new_id("user")),
        username=new.username,
        email=new.email,
        display_name=new.display_name,
        role=role,
        active=active,
        created_at=now,
    )
    username_key, email_key = sign_in_key(new.username), sign_in_key(new.email)
    taken = users.taken_fields(conn, username_key=username_key, email_key=email_key)
    if taken:
        raise NameTaken(taken)
    users.add(
        conn, user, username_key=username_key, email_key=email_key, password_hash=password_hash
    )
    _record(conn, actor, "user.created", after=user, now=now)
    return user


async def write_unique(database: Database, work: Callable[[Connection], T]) -> T:
    """Write what may collide with a rival: the second time it sees what the rival wrote."""
    try:
        return await database.write(work)
    except Exception as error:
        if not unique_violation(error):
            raise
    return await database.write(work)


def _found(conn: Connection, user_id: str, *, lock: bool = False) -> User:
    user = users.find(conn, user_id, lock=lock)
    if user is None:
        raise NoSuchUser(user_id)
    return user


def _leave_an_admin(admins: set[UserId], leaving: UserId) -> None:
    if admins == {leaving}:
        raise LastAdmin


def _store(conn: Connection, user: User, *, password_hash: str | None) -> None:
    username_key, email_key = sign_in_key(user.username), sign_in_key(user.email)
    taken = users.taken_fields(conn, username_key=username_key, email_key=email_key, but=user.id)
    if taken:
        raise NameTaken(taken)
    users.change(
        conn, user, username_key=username_key, email_key=email_key, password_hash=password_hash
    )


def _record(
    conn: Connection,
    actor: Caller | Actor,
    action: str,
    *,
    before: User | None = None,
    after: User | None = None,
    now: datetime,
) -> None:
    user = after or before
    assert user is not None
    audit.record(
        conn,
        actor=actor,
        now=now,
        action=action,
        target=user.id,
        tenant_id=None,
        before=_digestible(before),
        after=_digestible(after),
    )


def _digestible(user: User | None) -> Json:
    if user is None:
        return None
    return {
        "username": user.username,
        "email": user.email,
        "display_name": user.display_name,
        "role": user.role,
        "active": user.active,
    }
