"""What the egress proxy answers to the head of a request: a pure decision, without I/O.

`decide` reads `CONNECT host:port` and plain `GET http://host/path`, and holds them against a post's
hosts. Called by `egress`, which connects and relays. What is unclear is refused: two programs must
never read one request in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from longhouse.runtime.sandbox.egress_hosts import (
    HostPattern,
    InvalidHost,
    allows,
    normal_host,
    split_port,
)

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Of one connection only, or meant for us.
_OURS = frozenset(
    {
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tunnel:
    """Connect, then pass bytes both ways."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """Connect, send `head` and so many bytes of body, pass the answer back."""

    host: str
    port: int
    head: bytes
    body: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Say no."""

    status: int
    reason: str  # for the model and for the log
    target: str = ""  # the host and port asked for, when they could be read


Decision: TypeAlias = Tunnel | Forward | Refused


class _Bad(Exception):
    """A head that cannot be read in one way only."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


def decide(head: bytes, hosts: Sequence[HostPattern]) -> Decision:
    """What becomes of a request. `head` ends with its empty line."""
    try:
        lines = _lines(head)
        method, target, version = _request_line(lines[0])
        headers = [_header(line) for line in lines[1:]]
        if method == "CONNECT":
            host, port = _target(target, default=None)
            return _judged(Tunnel(host=host, port=port), hosts)
        return _judged(_forward(method, target, version, headers), hosts)
    except (_Bad, InvalidHost) as error:
        status = error.status if isinstance(error, _Bad) else 400
        return Refused(status=status, reason=f"{error}")


def spelt(host: str, port: int) -> str:
    """A host and port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _judged(wanted: Tunnel | Forward, hosts: Sequence[HostPattern]) -> Decision:
    if allows(hosts, wanted.host, wanted.port):
        return wanted
    named = ", ".join(map(str, hosts)) or "none"
    return Refused(
        status=403,
        reason=f"it is not among the hosts of this agent's post ({named})",
        target=spelt(wanted.host, wanted.port),
    )


def _lines(head: bytes) -> list[str]:
    text = head.removesuffix(b"\r\n\r\n").decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    if any(_CONTROL.search(line) for line in lines):
        raise _Bad("the request has control characters in its head")
    return lines


def _request_line(line: str) -> tuple[str, str, str]:
    method, _, rest = line.partition(" ")
    target, _, version = rest.partition(" ")
    if not _METHOD.fullmatch(method) or not target or version not in {"HTTP/1.0", "HTTP/1.1"}:
        raise _Bad("this is not a request of HTTP/1")
    return method, target, version


def _header(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise _Bad("the request has a header that cannot be read")
    return match[1], match[2]


def _target(authority: str, *, default: int | None) -> tuple[str, int]:
    if "@" in authority:
        raise _Bad("the address has a user in it")
    name, port = split_port(authority)
    port = default if port is None else port
    if port is None:
        raise _Bad("CONNECT needs a host and a port")
    return normal_host(name), port


def _forward(method: str, target: str, version: str, headers: list[tuple[str, str]]) -> Forward:
    scheme, _, rest = target.partition("://")
    if scheme.lower() != "http" or not rest:
        raise _Bad("a proxy takes http:// addresses, and CONNECT for all else")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host, port = _target(authority, default=80)
    path = rest[len(authority) :].partition("#")[0]
    if not path.startswith("/"):
        path = f"/{path}"
    # The name in the address decides, so that nobody can name one host and ask another.
    kept = [f"{method} {path} {version}", f"Host: {_host_header(host, port)}"]
    dropped = _OURS | _of_this_connection(headers)
    kept += [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
    kept.append("Connection: close")
    text = "\r\n".join([*kept, "", ""])
    return Forward(
        host=host,
        port=port,
        head=text.encode("utf-8", "surrogateescape"),
        body=_body_length(headers),
    )


def _host_header(host: str, port: int) -> str:
    return spelt(host, port).removesuffix(":80")


def _of_this_connection(headers: list[tuple[str, str]]) -> frozenset[str]:
    values = (value for name, value in headers if name.lower() == "connection")
    named = {word.strip().lower() for value in values for word in value.split(",")}
    return frozenset(named - {"content-length"})


def _body_length(headers: list[tuple[str, str]]) -> int:
    if any(name.lower() == "transfer-encoding" for name, _ in headers):
        raise _Bad("send the length of the body: chunks are not taken over plain HTTP", 411)
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(min(lengths)):
        raise _Bad("the request has no clear length")
    return int(lengths.pop())
