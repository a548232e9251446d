"""One port for WebSocket and HTTP; who may connect from where; TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.serving import ChatServer, Peer


def test_health_is_told_as_json(shared: ChatServer) -> None:
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
def test_any_other_page_is_a_clear_refusal(shared: ChatServer, path: str, status: int) -> None:
    got, body = shared.get(path)
    assert got == status
    assert "WebSocket" in body or "Nothing is here" in body


async def test_an_unknown_websocket_path_is_not_found(shared: ChatServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(shared.url + "/nowhere", proxy=None)
    assert refused.value.response.status_code == 404


async def test_the_server_tells_its_id_before_hello(shared: ChatServer) -> None:
    async with Peer.connect(shared.url) as peer:
        assert peer.socket.response is not None
        told = peer.socket.response.headers["Chat-Server-Id"]
        assert told == shared.health()["server"]["id"]


async def test_foreign_pages_are_kept_out_of_the_chat_but_not_of_the_bare_endpoints(
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


async def test_tls_makes_it_wss(start_server: Callable[..., ChatServer], tmp_path: Path) -> None:
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
    assert server.stop() == 0
