"""WebSocket and HTTP on one port: paths, methods, origins, TLS."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chat.protocol import FEATURES
from chat.server.transport.connection import OPEN_TIMEOUT
from tests.serving import PATIENCE, ChatServer, Peer


def test_healthz_answers_json(shared: ChatServer) -> None:
    status, body = shared.get("/healthz")
    assert status == 200
    health = json.loads(body)
    assert health["status"] == "ok"
    assert health["server"]["name"] == "chat"
    assert set(health) == {"status", "connections", "tasks", "timers", "server"}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 426), ("/counter", 426), ("/echo", 426), ("/nothing", 404), ("/healthz/x", 404)],
)
def test_other_paths_are_refused_with_an_explanation(
    shared: ChatServer, path: str, status: int
) -> None:
    got, body = shared.get(path)
    assert got == status
    assert "WebSocket" in body or "Not found" in body


async def test_an_unknown_websocket_path_is_not_found(shared: ChatServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(shared.url + "/nowhere", proxy=None)
    assert refused.value.response.status_code == 404


async def test_handshake_answer_has_the_server_id(shared: ChatServer) -> None:
    async with Peer.connect(shared.url) as peer:
        assert peer.socket.response is not None
        reported = peer.socket.response.headers["Chat-Server-Id"]
        assert reported == shared.health()["server"]["id"]


def test_every_answer_has_the_features(shared: ChatServer) -> None:
    for line in ("GET /healthz", "GET /", "GET /nothing", "HEAD /", "GET /[", "POST /"):
        head, _, _ = ask(shared, request(line)).partition(b"\r\n\r\n")
        assert f"\r\nChat-Features: {', '.join(FEATURES)}\r\n".encode() in head + b"\r\n", line


def ask(server: ChatServer, request: bytes) -> bytes:
    """Send a request literally; return the whole answer."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        peer.sendall(request)
        return b"".join(iter(lambda: peer.recv(65_536), b""))


def request(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


@pytest.mark.parametrize("path", ["/healthz", "/", "/nothing"])
def test_head_answer_has_a_content_length_and_no_body(shared: ChatServer, path: str) -> None:
    head, _, body = ask(shared, request(f"HEAD {path}")).partition(b"\r\n\r\n")
    assert body == b""
    length = re.search(rb"Content-Length: (\d+)", head)
    full = ask(shared, request(f"GET {path}")).partition(b"\r\n\r\n")[2]
    assert length is not None
    assert int(length[1]) == len(full) > 0


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/healthz", "/", "/echo"])
def test_other_methods_are_refused_with_an_allow_header(
    shared: ChatServer, method: str, path: str
) -> None:
    answer = ask(shared, request(f"{method} {path}"))
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in answer


def test_a_request_with_a_body_is_answered(shared: ChatServer) -> None:
    posted = ask(shared, request("POST /healthz", "Content-Length: 3") + b"abc")
    assert posted.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in posted
    chunked = ask(shared, request("POST /", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
    assert chunked.startswith(b"HTTP/1.1 405 ")
    assert ask(shared, request("GET /", "Content-Length: 3")).startswith(b"HTTP/1.1 400 ")
    assert ask(shared, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_request_must_have_one_host_header(shared: ChatServer) -> None:
    assert ask(shared, b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    twice = b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    assert ask(shared, twice).startswith(b"HTTP/1.1 400 ")
    assert ask(shared, b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("//counter", 404),
        ("//evil.example/", 404),
        ("/counter/", 404),
        ("/../counter", 404),
        ("/%63ounter", 426),
        ("/counter?a=//b", 426),
        ("http://localhost/healthz", 200),
        ("http://localhost", 426),
        ("http://localhost?a=/healthz", 426),
        ("ftp://localhost/healthz", 400),
        ("healthz", 400),
        ("*", 400),
    ],
)
def test_paths_are_normalized(shared: ChatServer, target: str, status: int) -> None:
    assert ask(shared, request(f"GET {target}")).startswith(b"HTTP/1.1 %d " % status)


async def test_rebound_name_is_refused_and_logged_with_advice(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--public-url", "wss://chat.example.org")
    upgrade = (
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )

    def status(host: str, origin: str) -> bytes:
        lines = ["GET / HTTP/1.1", f"Host: {host}", f"Origin: {origin}", *upgrade, "", ""]
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            peer.sendall("\r\n".join(lines).encode())
            return peer.recv(65_536).split()[1]

    rebound = f"rebound.example:{server.port}"
    assert status(rebound, f"http://{rebound}") == b"403"
    reported = server.wait_for_line("rebound.example")
    assert f"--public-url ws://{rebound}" in reported
    assert status("chat.example.org:443", "https://chat.example.org") == b"101"
    assert status(f"localhost:{server.port}", f"http://localhost:{server.port}") == b"101"


def test_tls_on_a_plain_port_is_closed_at_once_and_logged(server: ChatServer) -> None:
    trust = ssl.create_default_context()
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            trust.wrap_socket(peer, server_hostname="localhost")
        assert time.monotonic() - began < OPEN_TIMEOUT, "it was cut as an unfinished handshake"
    assert "ws://" in server.wait_for_line("127.0.0.1 tried TLS")


async def test_protocol_violation_is_logged_in_one_line(server: ChatServer) -> None:
    async with Peer.connect(server.url) as peer:
        peer.socket.transport.write(b"\x81\x05hello")  # a client must mask its frames
        assert await peer.close_code() == 1002
    server.wait_for_line("127.0.0.1: closed with 1002: incorrect masking")
    async with Peer.connect(server.url) as peer:
        peer.socket.transport.write(b"\x81\x81\0\0\0\0\xff")
        assert await peer.close_code() == 1007
    server.wait_for_line("127.0.0.1: closed with 1007: ")
    assert server.text.count("closed with") == 2


async def test_foreign_pages_reach_only_the_raw_endpoints(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--allow-origin", "https://friend.example")

    async def status(path: str, origin: str | None) -> int:
        headers = {"Origin": origin} if origin else None
        try:
            async with connect(server.url + path, additional_headers=headers, proxy=None):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    same = f"http://127.0.0.1:{server.port}"
    assert await status("", None) == 101
    assert await status("", same) == 101
    assert await status("", "https://friend.example") == 101
    for foreign in ("https://evil.example", "null", same + ".evil.example", "http://127.0.0.1"):
        assert await status("", foreign) == 403, foreign
        assert await status("/echo", foreign) == 101
        assert await status("/counter", foreign) == 101


async def test_server_with_a_certificate_uses_wss(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    server = start_server("--tls-cert", str(cert), "--tls-key", str(key))
    assert server.url.startswith("wss://")
    trust = ssl.create_default_context(cafile=str(cert))
    async with Peer.signed_in(server.url, "alice", ssl=trust) as alice:
        await alice.join("#general")
        await alice.say("over TLS")
        assert (await alice.next_event("#general", "message")).text == "over TLS"
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain:
        plain.sendall(request("GET /"))
        while plain.recv(65_536):
            pass
    assert "wss://" in server.wait_for_line("127.0.0.1 tried plain HTTP")
    assert server.stop() == 0
