"""Readable errors of failed connections; no tokens in the log."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidMessage

from chat.client.network.connection import NoConnection, explain, open_connection
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Listen, and answer the first request with fixed bytes."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def listen(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        listeners.append(listener)
        threads.append(thread)
        return f"ws://127.0.0.1:{listener.getsockname()[1]}"

    yield listen
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP status 302",
        ),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            r"is stopping, or not available \(HTTP status 503\)",
        ),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not a chat server"),
    ],
)
async def test_another_kind_of_server_is_reported_as_such(
    answering: Callable[[bytes], str], answer: bytes, says: str
) -> None:
    url = answering(answer)
    with pytest.raises(NoConnection, match=says):
        await open_connection(url)


async def test_a_server_without_an_id_is_rejected(
    start_fake: Callable[..., FakeServer],
) -> None:
    fake = start_fake(server_id="")
    with pytest.raises(NoConnection, match="sends no id"):
        await open_connection(fake.url)


@pytest.mark.parametrize(
    ("error", "url", "says"),
    [
        (ConnectionRefusedError(111, "x"), "ws://127.0.0.1:3000", "Start one with: chat-server"),
        (ConnectionRefusedError(111, "x"), "ws://localhost:81", "chat-server --port 81"),
        (ConnectionRefusedError(111, "x"), "ws://example.org", "Is the address right"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect, [Errno 111] Connect"),
            "ws://localhost:3000",
            "Start one with",
        ),
        (socket.gaierror(-2, "unknown"), "ws://nowhere.invalid", "nowhere.invalid"),
        (ConnectionRefusedError(111, "x"), "ws://127.0.0.1:3000", "another one: --url wss://"),
        (TimeoutError(), "ws://example.org", "no answer"),
        (ssl.SSLError(1, "wrong version"), "wss://example.org", "ws:// server"),
        (ConnectionResetError(), "wss://example.org", "is it a ws:// server?"),
        (InvalidMessage("no HTTP"), "ws://example.org/a", "use wss://example.org/a"),
        (OSError(101, "Network is unreachable"), "ws://example.org", "unreachable"),
    ],
)
def test_each_connection_error_has_its_message(error: Exception, url: str, says: str) -> None:
    assert says in explain(error, url)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (10, "the operator must renew the certificate"),
        (18, "chat-client --ca ca.pem"),
        (19, "chat-client --ca ca.pem"),
        (20, "chat-client --ca ca.pem"),
        (62, "Use a host name of the certificate in --url"),
    ],
)
def test_an_untrusted_certificate_says_what_to_do(
    code: int, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "reason from OpenSSL."
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    text = explain(error, "wss://example.org")
    assert "wss://example.org is not trusted: reason from OpenSSL. " in text
    assert says in text
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert ("missing.pem, which is not a file" in explain(error, "wss://example.org")) == (
        code in (18, 19, 20)
    )
    text = explain(error, "wss://example.org", ca=tmp_path / "own.pem")
    assert ("not signed by the authority in" in text and "own.pem (--ca)" in text) == (
        code in (18, 19, 20)
    )


async def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoConnection, match=r"own\.pem: No such file"):
        await open_connection("wss://127.0.0.1:1", ca=tmp_path / "own.pem")


def test_no_token_is_logged_at_any_level(
    open_client: Callable[..., Screen],
    fake: FakeServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("chat", "websockets.client"):
        caplog.set_level(logging.DEBUG, name)
    screen = open_client(fake.url)
    screen.open()
    screen.core.send("#general", "private words")
    screen.wait_texts("private words")
    token = fake.tokens["alice"]
    client = [record for record in caplog.records if not record.name.endswith("server")]
    for record in client:
        assert token not in record.getMessage()
        assert "private words" not in record.getMessage()
