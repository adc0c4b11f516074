"""Which hosts a post may reach: names, patterns and addresses, compared in one spelling. Pure.

Called by the proxy of `egress` at each request, by whoever takes a post in, and by `delegation`,
whose sub-agents reach nothing that their parent cannot. Nothing is looked up here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import idna

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

WEB_PORTS = frozenset({80, 443})
"""What a pattern without a port means."""

LONGEST_NAME = 253  # of a name in the DNS

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as a last label: programs take it for an address
_PORT = re.compile(r"[0-9]{1,5}")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class InvalidHost(ValueError):
    """A text that is no host, no pattern or no port. Its words are for people."""


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry of a post's hosts."""

    host: str  # in its one spelling
    below: bool  # every name below it, at any depth, but not itself
    ports: frozenset[int]

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        ports = "" if self.ports == WEB_PORTS else f":{min(self.ports)}"
        return f"{'*.' if self.below else ''}{name}{ports}"

    def fits(self, host: str, port: int) -> bool:
        """Whether it names a host that `normal_host` has spelt."""
        return port in self.ports and self._covers(host, below=False)

    def common(self, other: HostPattern) -> HostPattern | None:
        """What both name; None: nothing."""
        ports = self.ports & other.ports
        if not ports:
            return None
        if other._covers(self.host, below=self.below):
            return HostPattern(self.host, self.below, ports)
        if self._covers(other.host, below=other.below):
            return HostPattern(other.host, other.below, ports)
        return None

    def _covers(self, host: str, *, below: bool) -> bool:
        if host == self.host:
            return self.below == below
        return self.below and host.endswith(f".{self.host}")


def pattern(text: str) -> HostPattern:
    """Read `example.org`, `*.example.org`, `192.0.2.7:8080`. Raises `InvalidHost`."""
    name, port = split_port(text.strip())
    below = name.startswith("*.")
    host = normal_host(name.removeprefix("*."))
    if below and is_address(host):
        raise InvalidHost(f"{text!r}: there is nothing below an address")
    return HostPattern(host, below, WEB_PORTS if port is None else frozenset({port}))


def allows(patterns: Iterable[HostPattern], host: str, port: int) -> bool:
    """Whether a host that `normal_host` has spelt is among them."""
    return any(each.fits(host, port) for each in patterns)


def in_common(inner: Sequence[str], outer: Sequence[str]) -> tuple[str, ...]:
    """The hosts that both lists name. Raises `InvalidHost`."""
    outside = [pattern(text) for text in outer]
    shared = (one.common(two) for one in map(pattern, inner) for two in outside)
    return tuple(dict.fromkeys(str(each) for each in shared if each is not None))


def split_port(text: str) -> tuple[str, int | None]:
    """`host:port` or `host`; an IPv6 address is in brackets. Raises `InvalidHost`."""
    head, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise InvalidHost(f"{text!r} has no port between 1 and 65535")
    return head, int(port)


def normal_host(text: str) -> str:
    """A host in the one spelling that is compared and connected to; IPv6 without brackets.

    Names become what the DNS is asked (IDNA, lower case, no dot at the end); addresses have one
    spelling each, and the odd ones (`127.1`, `0x7f.1`, `2130706433`) are refused. Raises
    `InvalidHost`.
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text)
    host = (text if text.isascii() else _ascii(text)).lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidHost(f"{text[:80]!r} is not a host's name")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(host)
    return host


def is_address(host: str) -> bool:
    """Whether a host that `normal_host` has spelt is an address."""
    return ":" in host or host.rpartition(".")[2].isdecimal()


def may_connect(address: Address, networks: Sequence[Network]) -> bool:
    """Whether a looked-up address is public, or in a network that the operator has named."""
    meant = _meant(address)
    if any(meant.version == network.version and meant in network for network in networks):
        return True
    return meant.is_global and not meant.is_multicast


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where a gateway would unpack it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _ascii(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise InvalidHost(f"{text[:80]!r} is not a host's name: {error}") from None


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise InvalidHost(f"{text[:80]!r} is not an address of four numbers") from None


def _ipv6(text: str) -> str:
    try:
        if "%" in text:
            raise InvalidHost(f"{text[:80]!r} names an interface of the machine")
        return str(ipaddress.IPv6Address(text[1:-1]))
    except ipaddress.AddressValueError:
        raise InvalidHost(f"{text[:80]!r} is not an IPv6 address") from None
