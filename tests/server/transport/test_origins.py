"""Which web pages may connect: host and effective port, and names that are this server's."""

from __future__ import annotations

import socket

import pytest

from chat.server.transport.origins import Origins

PUBLIC = "wss://chat.example.org/base/"


def refusal(origin: str, host: str, *, is_tls: bool = False) -> str | None:
    origins = Origins(["https://friend.example"], [PUBLIC], ["server.lan"], is_tls=is_tls)
    return origins.refusal(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://192.0.2.7:3000", "192.0.2.7:3000"),
        ("http://localhost:3000", "LocalHost:3000"),
        ("http://app.localhost:3000", "app.localhost:3000"),
        ("http://localhost.:3000", "localhost:3000"),
        ("http://server.lan", "server.lan:80"),
        ("http://server.lan:80", "server.lan"),
        (f"http://{socket.gethostname()}:3000", f"{socket.gethostname()}:3000"),
        (f"http://{socket.gethostname()}.local:3000", f"{socket.gethostname()}.local:3000"),
        # Behind a proxy that ends TLS: it hands on the host, with the port or without, or its own.
        ("https://chat.example.org", "chat.example.org"),
        ("https://chat.example.org", "chat.example.org:443"),
        ("https://chat.example.org:443", "chat.example.org"),
        ("https://chat.example.org", "127.0.0.1:3000"),
        ("https://friend.example", "whatever"),
        ("https://FRIEND.example:443", "whatever"),
    ],
)
def test_pages_that_may_connect(origin: str, host: str) -> None:
    assert refusal(origin, host) is None


@pytest.mark.parametrize(
    ("origin", "host", "advice"),
    [
        ("http://evil.example:3000", "127.0.0.1:3000", "--allow-origin http://evil.example:3000"),
        ("http://127.0.0.1", "127.0.0.1:3000", "--allow-origin http://127.0.0.1"),
        ("https://localhost", "localhost:80", "--allow-origin"),
        ("https://friend.example:444", "friend.example:444", "--public-url"),
        ("http://friend.example", "127.0.0.1", "--allow-origin"),
        ("http://localhost.evil.example", "localhost", "--allow-origin"),
        ("null", "null", "--allow-origin null"),
        ("", "", "malformed"),
        ("http://", "http://", "malformed"),
        ("http://a b", "a b", "malformed"),
        ("http://x:y", "x:y", "malformed"),
    ],
)
def test_pages_that_may_not(origin: str, host: str, advice: str) -> None:
    assert advice in (refusal(origin, host) or "")


def test_an_origin_that_is_no_address_is_a_bad_request() -> None:
    with pytest.raises(ValueError, match="Invalid IPv6 URL"):
        refusal("http://[::1", "[::1")


def test_a_name_that_was_made_to_lead_here_is_refused_and_the_operator_is_told_the_way() -> None:
    told = refusal("https://rebound.example", "rebound.example")
    assert told is not None
    assert "--public-url wss://rebound.example" in told


def test_behind_our_own_certificate_the_browser_has_checked_the_name() -> None:
    assert refusal("https://any.example:3000", "any.example:3000", is_tls=True) is None
    assert refusal("https://evil.example", "any.example", is_tls=True) is not None
