"""What the proxy makes of the head of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.runtime.sandbox.egress_hosts import allows, pattern
from longhouse.runtime.sandbox.egress_requests import Forward, Refused, Tunnel, decide

HOSTS = [pattern("shop.example"), pattern("*.api.example:8443"), pattern("[2001:db8::1]:443")]


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("shop.example:443", "shop.example", 443),
        ("SHOP.example.:443", "shop.example", 443),
        ("v1.api.example:8443", "v1.api.example", 8443),
        ("[2001:DB8:0:0::1]:443", "2001:db8::1", 443),
    ],
)
def test_connect_to_a_host_of_the_post_is_a_tunnel(target: str, host: str, port: int) -> None:
    decision = decide(head(f"CONNECT {target} HTTP/1.1", "Host: else.example"), HOSTS)

    assert decision == Tunnel(host=host, port=port)


@pytest.mark.parametrize(
    "target",
    [
        *("evil.example:443", "shop.example:22", "api.example:8443", "shop.example.evil.net:443"),
        *("127.0.0.1:443", "[::1]:443", "169.254.169.254:80", "[::ffff:127.0.0.1]:443"),
    ],
)
def test_any_other_host_is_refused_with_the_reason(target: str) -> None:
    decision = decide(head(f"CONNECT {target} HTTP/1.1"), HOSTS)

    assert isinstance(decision, Refused)
    assert decision.status == 403
    assert "shop.example" in decision.reason
    assert decision.target.endswith(target.rpartition(":")[2])


def test_a_plain_request_is_passed_on_with_the_host_of_its_address() -> None:
    decision = decide(
        head(
            "POST http://shop.example/cart?x=1#top HTTP/1.1",
            "Host: evil.example",
            "Proxy-Authorization: Basic c2VjcmV0",
            "Connection: keep-alive, X-Secret",
            "X-Secret: 1",
            "Accept: */*",
            "Content-Length: 12",
        ),
        HOSTS,
    )

    assert decision == Forward(
        host="shop.example",
        port=80,
        head=b"POST /cart?x=1 HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n"
        b"Content-Length: 12\r\nConnection: close\r\n\r\n",
        body=12,
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1", "Host: shop.example"),
        ("GET https://shop.example/ HTTP/1.1",),
        ("GET ftp://shop.example/ HTTP/1.1",),
        ("GET http:///x HTTP/1.1",),
        ("GET http://user:pass@shop.example/ HTTP/1.1",),
        ("GET http://evil.example@shop.example/ HTTP/1.1",),
        ("GET http://shop.example\\@evil.example/ HTTP/1.1",),
        ("GET http://shop.example/ HTTP/2",),
        ("GET  http://shop.example/ HTTP/1.1",),
        ("CONNECT shop.example HTTP/1.1",),
        ("CONNECT shop.example:443:443 HTTP/1.1",),
        ("CONNECT 2130706433:443 HTTP/1.1",),
        ("CONNECT shop.example:443\tHTTP/1.1",),
        ("GET http://shop.example/ HTTP/1.1", "Host : x"),
        ("GET http://shop.example/ HTTP/1.1", " folded"),
        ("GET http://shop.example/ HTTP/1.1", "X: a\nY: b"),
        ("GET http://shop.example/ HTTP/1.1", "X: a\x00"),
        ("POST http://shop.example/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        ("POST http://shop.example/ HTTP/1.1", "Content-Length: +1"),
        ("POST http://shop.example/ HTTP/1.1", "Content-Length: -1"),
        ("",),
        ("\r\nGET http://shop.example/ HTTP/1.1",),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: tuple[str, ...]) -> None:
    decision = decide(head(*lines), HOSTS)

    assert isinstance(decision, Refused)
    assert decision.status == 400


def test_a_body_in_chunks_is_asked_for_with_its_length() -> None:
    lines = ("POST http://shop.example/ HTTP/1.1", "Transfer-Encoding: chunked")

    decision = decide(head(*lines), HOSTS)

    assert isinstance(decision, Refused)
    assert decision.status == 411


@given(st.binary(max_size=60), st.sampled_from([b"CONNECT ", b"GET http://", b""]))
def test_no_bytes_lead_anywhere_else(noise: bytes, method: bytes) -> None:
    decision = decide(method + noise + b" HTTP/1.1\r\n\r\n", HOSTS)

    assert isinstance(decision, Refused) or allows(HOSTS, decision.host, decision.port)
