"""Origin check: hosts, effective ports, and names of the server."""

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
        # Behind a proxy that ends TLS: it forwards the host (with or without the port) or its own.
        ("https://chat.example.org", "chat.example.org"),
        ("https://chat.example.org", "chat.example.org:443"),
        ("https://chat.example.org:443", "chat.example.org"),
        ("https://chat.example.org", "127.0.0.1:3000"),
        ("https://friend.example", "whatever"),
        ("https://FRIEND.example:443", "whatever"),
    ],
)
def test_known_origins_are_accepted(origin: str, host: str) -> None:
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
def test_foreign_origins_are_refused_with_advice(origin: str, host: str, advice: str) -> None:
    assert advice in (refusal(origin, host) or "")


def test_unparsable_origin_raises_value_error() -> None:
    with pytest.raises(ValueError, match="Invalid IPv6 URL"):
        refusal("http://[::1", "[::1")


def test_rebound_name_is_refused_with_advice_about_public_url() -> None:
    advice = refusal("https://rebound.example", "rebound.example")
    assert advice is not None
    assert "--public-url wss://rebound.example" in advice


def test_any_name_is_accepted_with_tls_because_browsers_check_the_certificate() -> None:
    assert refusal("https://any.example:3000", "any.example:3000", is_tls=True) is None
    assert refusal("https://evil.example", "any.example", is_tls=True) is not None
