"""What identity refuses, each with a code of its own.

Services raise these; `auth` and `tokens` have those of a principal and of a token beside them.
"""

from longhouse.kit.errors import Conflict, Forbidden, Json, NotFound, Unauthenticated


class WrongCredentials(Unauthenticated):
    """Wrong name, wrong password or a deactivated account: it is not told which."""

    code = "wrong-credentials"

    def __init__(self) -> None:
        super().__init__("The username or the password is wrong.", hint="Check both.")


class RefreshRefused(Unauthenticated):
    """The refresh token is unknown, used before, expired or revoked."""

    code = "refresh-refused"

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid any more.", hint="Sign in again.")


class WrongPassword(Forbidden):
    """The present password is wrong: whoever has the token may have found it somewhere."""

    code = "wrong-password"

    def __init__(self) -> None:
        super().__init__("The present password is wrong.", hint="Type it again.")


class RegistrationClosed(Forbidden):
    """People do not make accounts of their own on this server."""

    code = "registration-closed"

    def __init__(self) -> None:
        super().__init__(
            "This server lets nobody register.", hint="Ask an admin of the server for an account."
        )


class LastAdmin(Conflict):
    """The server would be left without an admin who can sign in."""

    code = "last-admin"

    def __init__(self) -> None:
        super().__init__(
            "This is the only active admin of the server.", hint="Make somebody else one first."
        )


class NoSuchLogin(NotFound):
    """No login of this id among the caller's."""

    code = "no-such-login"

    def __init__(self, login_id: str) -> None:
        super().__init__(f"There is no login {login_id[:80]!r}.")


class SetupLinkInvalid(Forbidden):
    """The one-time link is unknown, used, expired or replaced by a newer one."""

    code = "setup-link-invalid"

    def __init__(self) -> None:
        super().__init__(
            "This set-up link is not valid any more.",
            hint="Restart the server to get a new one, or use `longhouse create-admin`.",
        )


class SetUpAlready(Conflict):
    """There is a user already: the first run is over."""

    code = "set-up-already"

    def __init__(self) -> None:
        super().__init__("This server is set up already.", hint="Sign in instead.")


class NameTaken(Conflict):
    """Another user has this username or e-mail address."""

    code = "name-taken"

    def __init__(self, fields: tuple[str, ...]) -> None:
        errors: list[Json] = [
            {"field": field, "message": "Another user has this already."} for field in fields
        ]
        super().__init__(f"Taken already: {', '.join(fields)}.", errors=errors)


class NoSuchUser(NotFound):
    """No user of this id or name."""

    code = "no-such-user"

    def __init__(self, user: str) -> None:
        super().__init__(f"There is no user {user[:80]!r}.")


class TenantNameTaken(Conflict):
    """Another tenant has this name."""

    code = "tenant-name-taken"

    def __init__(self, name: str) -> None:
        message = f"There is a tenant with the name {name!r} already."
        errors: list[Json] = [{"field": "name", "message": message}]
        super().__init__(message, hint="Choose another name.", errors=errors)


class NoSuchMember(NotFound):
    """No member of this id in the tenant."""

    code = "no-such-member"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"The tenant has no member {user_id[:80]!r}.")


class LastOwner(Conflict):
    """The tenant would be left without an owner."""

    code = "last-owner"

    def __init__(self) -> None:
        super().__init__(
            "This is the tenant's only owner.", hint="Make somebody else an owner first."
        )


class KeyInvalid(Unauthenticated):
    """Not a key of ours: mistyped, unknown, disabled or deleted; which of them is not told."""

    code = "key-invalid"

    def __init__(self) -> None:
        super().__init__(
            "The API key is not valid.", hint="Check it for a missing or wrong character."
        )


class KeyExpired(Unauthenticated):
    """Once good, but its time is over."""

    code = "key-expired"

    def __init__(self) -> None:
        super().__init__("The API key has expired.", hint="Rotate it, or give it another expiry.")


class NoSuchKey(NotFound):
    """No key of this id in the caller's tenant."""

    code = "no-such-key"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no API key {key_id[:80]!r}.")


class KeyNameTaken(Conflict):
    """Another key of the tenant has this name."""

    code = "key-name-taken"

    def __init__(self, name: str) -> None:
        message = f"There is a key with the name {name!r} already."
        errors: list[Json] = [{"field": "name", "message": message}]
        super().__init__(message, hint="Choose another name.", errors=errors)


class NoSuchAgent(NotFound):
    """No agent of this id in the caller's tenant."""

    code = "no-such-agent"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"There is no agent {agent_id[:80]!r}.")
