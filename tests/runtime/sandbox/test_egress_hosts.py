"""How hosts are spelt, matched and shared, and which addresses may be connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.runtime.sandbox.egress_hosts import (
    InvalidHost,
    allows,
    in_common,
    may_connect,
    normal_host,
    pattern,
)

LABELS = st.text("ab", min_size=1, max_size=2)
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
PATTERNS = st.builds(
    lambda below, name, port: f"{below}{name}{port}",
    st.sampled_from(["", "*."]),
    NAMES,
    st.sampled_from(["", ":443", ":8080"]),
)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("\uff45xample\u3002org", "example.org"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("_service.example.org", "_service.example.org"),
    ],
)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    assert normal_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "example.org..",
        ".example.org",
        "-a.example",
        "a b.example",
        "user@example.org",
        "example.org/x",
        "example.org\\x",
        "example.org%00.evil",
        "*",
        "a.*.example",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.5",
        "256.0.0.1",
        "[::1",
        "[fe80::1%eth0]",
        "::1",
        "[127.0.0.1]",
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidHost):
        normal_host(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "fits"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "example.org", 80, True),
        ("example.org", "example.org", 22, False),
        ("example.org", "api.example.org", 443, False),
        ("example.org", "example.org.evil.net", 443, False),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:8443", "example.org", 443, False),
        ("*.example.org", "api.example.org", 443, True),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "evilexample.org", 443, False),
        ("*.B\u00fccher.example", "shop.xn--bcher-kva.example", 443, True),
        ("192.0.2.7", "192.0.2.7", 80, True),
        ("[2001:db8::1]:8080", "2001:db8::1", 8080, True),
    ],
)
def test_a_pattern_names_what_it_says(text: str, host: str, port: int, fits: bool) -> None:
    assert allows([pattern(text)], host, port) is fits


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.", "**.example.org", "*.192.0.2.7", "example.org:0", "example.org:65536"),
        *("example.org:", "example.org:x", "https://example.org", "example.org:\u0661"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidHost):
        pattern(text)


@given(st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=3), NAMES)
def test_two_lists_share_exactly_what_both_allow(
    inner: list[str], outer: list[str], host: str
) -> None:
    shared = [pattern(text) for text in in_common(inner, outer)]

    for port in (80, 443, 8080):
        both = all(allows(map(pattern, texts), host, port) for texts in (inner, outer))
        assert allows(shared, host, port) is both


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1"),
    ],
)
def test_an_address_that_is_not_public_is_not_connected_to(text: str) -> None:
    assert not may_connect(ipaddress.ip_address(text), [])


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808"])
def test_a_public_address_may_be_connected_to(text: str) -> None:
    assert may_connect(ipaddress.ip_address(text), [])


def test_the_operator_opens_a_network_and_no_other() -> None:
    networks = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/64")]

    assert may_connect(ipaddress.ip_address("10.1.2.3"), networks)
    assert may_connect(ipaddress.ip_address("::ffff:10.1.2.3"), networks)
    assert may_connect(ipaddress.ip_address("fd00::5"), networks)
    assert not may_connect(ipaddress.ip_address("10.2.0.1"), networks)
    assert not may_connect(ipaddress.ip_address("127.0.0.1"), networks)
