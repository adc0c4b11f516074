"""What a new account has to look like: pure rules, the same for the console and the command line.

Called by the service before it hashes or stores anything; it looks at no other account.
"""

import re
import unicodedata
from dataclasses import dataclass, replace

from longhouse.identity.models import (
    EMAIL_CHARACTERS,
    NAME_CHARACTERS,
    USERNAME_CHARACTERS,
)
from longhouse.kit.errors import InvalidInput, Json

PASSWORD_LEAST = 8  # characters, as NIST SP 800-63B asks
PASSWORD_MOST = 1024  # characters: hashing takes longer with length

# One word in any script. No @, so that a name is never somebody's address.
_USERNAME = re.compile(r"\w[\w.\-]*")
# Only what is certain: something, an @, something. Whether it exists, a mail would tell.
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A person to be, as typed."""

    username: str
    password: str
    email: str
    display_name: str


def checked(new: NewUser) -> NewUser:
    """The same account in normal form.

    Raises `InvalidInput` with one error for each field that will not do.
    """
    normal = replace(
        new,
        username=_normal(new.username),
        email=new.email.strip(),
        display_name=new.display_name.strip(),
    )
    _refuse_wrong(
        username=_wrong_username(normal.username),
        password=_wrong_password(normal.password),
        email=_wrong_email(normal.email),
        display_name=_wrong_display_name(normal.display_name),
    )
    return normal


def checked_changes(
    *,
    username: str | None = None,
    password: str | None = None,
    email: str | None = None,
    display_name: str | None = None,
) -> dict[str, str]:
    """What is given, in normal form. Raises as `checked` does."""
    given = {
        "username": username and _normal(username),
        "password": password,
        "email": email and email.strip(),
        "display_name": display_name and display_name.strip(),
    }
    rules = {
        "username": _wrong_username,
        "password": _wrong_password,
        "email": _wrong_email,
        "display_name": _wrong_display_name,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    _refuse_wrong(**{field: rules[field](value) for field, value in changes.items()})
    return changes


def registered(*, email: str, password: str, name: str) -> NewUser:
    """The account of somebody who gives an address and no username: it begins with the address."""
    word = re.sub(r"[^\w.\-]+", "", email.partition("@")[0]).lstrip("_.-")
    return NewUser(
        username=word[: USERNAME_CHARACTERS - 10] or "user",
        password=password,
        email=email,
        display_name=name.strip() or word or email,
    )


def checked_email(email: str, *, field: str = "email") -> str:
    """The address in normal form. Raises `InvalidInput`."""
    wrong = _wrong_email(email.strip())
    if wrong is not None:
        raise InvalidInput(wrong, errors=[{"field": field, "message": wrong}])
    return email.strip()


def sign_in_key(name: str) -> str:
    """What a username or e-mail address is compared by: neither case nor width counts."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _normal(username: str) -> str:
    return unicodedata.normalize("NFKC", username).strip()


def _refuse_wrong(**wrong: str | None) -> None:
    errors: list[Json] = [
        {"field": field, "message": message}
        for field, message in wrong.items()
        if message is not None
    ]
    if errors:
        raise InvalidInput("The account is not valid.", errors=errors)


def _wrong_username(username: str) -> str | None:
    if not username:
        return "Choose a username."
    if len(username) > USERNAME_CHARACTERS:
        return f"At most {USERNAME_CHARACTERS} characters."
    if not _USERNAME.fullmatch(username):
        return "Letters, digits, '.', '-' and '_' only, beginning with a letter or digit."
    return None


def _wrong_password(password: str) -> str | None:
    if len(password) < PASSWORD_LEAST:
        return f"At least {PASSWORD_LEAST} characters."
    if len(password) > PASSWORD_MOST:
        return f"At most {PASSWORD_MOST} characters."
    return None


def _wrong_email(email: str) -> str | None:
    if len(email) > EMAIL_CHARACTERS or not email.isprintable() or not _EMAIL.fullmatch(email):
        return "This is no e-mail address."
    return None


def _wrong_display_name(display_name: str) -> str | None:
    if not display_name:
        return "Say how people should call you."
    if len(display_name) > NAME_CHARACTERS:
        return f"At most {NAME_CHARACTERS} characters."
    if not display_name.isprintable():
        return "No control characters."
    return None
