"""Malformed handshakes, early disconnects, and peers that do not read."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from tests.server.byhand import BINARY, CLOSE, PING, TEXT, frame, request, unharmed
from tests.serving import PATIENCE, ChatServer, eventually

NORMAL, PROTOCOL_ERROR = 1000, 1002
PIECE = 60_000
LEFT = 8 << 20
"""Bytes that a peer leaves unread: more than the buffers between hold."""
FLOOD = 32 << 20
FLAGS = ("--close-timeout", "0.5", "--heartbeat", "300", "--queue-bytes", str(4 * LEFT))

PAGE = b"GET /healthz HTTP/1.1\r\nHost: chat\r\n\r\n"
NOT_UNDERSTOOD: dict[str, bytes] = {
    "an address without an end": request("//[x"),
    "an origin without an end": request("/", "Origin: http://[x"),
    "two upgrades": request("/", "Upgrade: websocket"),
}


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """Return a server for all tests of this module; at the end it must hold no resources."""
    with unharmed(tmp_path_factory.mktemp("lively") / "data", *FLAGS) as server:
        yield server


def answer(server: ChatServer, data: bytes) -> bytes:
    """Send bytes; return all output until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
        raw.sendall(data)
        return b"".join(iter(lambda: raw.recv(4_096), b""))


@pytest.mark.parametrize("what", NOT_UNDERSTOOD)
def test_malformed_request_is_answered_with_400(lively: ChatServer, what: str) -> None:
    assert answer(lively, NOT_UNDERSTOOD[what]).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("rest", [PAGE, b"x" * 20_000, frame(CLOSE)], ids=["page", "x", "close"])
def test_http_answer_is_sent_despite_bytes_after_the_request(
    lively: ChatServer, rest: bytes
) -> None:
    received = answer(lively, PAGE + rest)
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"}\n")


@pytest.mark.parametrize(
    ("early", "answered"),
    [
        (frame(PING, "x"), b"\x8a\x01x"),
        (frame(TEXT, "x"), b"\x81\x01x"),
        (frame(CLOSE, NORMAL.to_bytes(2)), b"\x88\x02" + NORMAL.to_bytes(2)),
        (frame(TEXT, "x", masked=False), PROTOCOL_ERROR.to_bytes(2)),
    ],
    ids=["ping", "text", "close", "no mask"],
)
def test_frames_sent_with_the_handshake_are_answered_after_it(
    lively: ChatServer, early: bytes, answered: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", lively.port), PATIENCE) as raw:
        raw.sendall(request("/echo") + early)
        received = b""
        while answered not in received:
            piece = raw.recv(4_096)
            assert piece, received
            received += piece
        assert received.startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("piece", [1, 3, 7, 250, 10_000])
def test_frames_may_arrive_in_any_pieces(lively: ChatServer, piece: int) -> None:
    messages = [b"x", b"y" * 125, b"z" * 126, b"\xc3\xa4" * 300, b"in two parts", b"last"]
    sent = [Frame(Opcode.TEXT, message) for message in messages]
    sent[4:5] = [
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.TEXT, b"in two ", fin=False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"parts"),
    ]
    data = b"".join(each.serialize(mask=True) for each in sent)
    echoed = b"".join(Frame(Opcode.TEXT, message).serialize(mask=False) for message in messages)
    pong = Frame(Opcode.PONG, b"p").serialize(mask=False)
    with socket.create_connection(("127.0.0.1", lively.port), PATIENCE) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(request("/echo"))
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += raw.recv(1)
        for at in range(0, len(data), piece):
            raw.sendall(data[at : at + piece])
        received = b""
        while len(received) < len(echoed) + 2 * len(pong):
            received += raw.recv(4_096)
        raw.sendall(Frame(Opcode.CLOSE, b"").serialize(mask=True))
        assert raw.recv(4_096) == Frame(Opcode.CLOSE, b"").serialize(mask=False)
    assert received.count(pong) == 2
    assert received.replace(pong, b"") == echoed


def test_early_disconnects_leave_no_resources(lively: ChatServer) -> None:
    whole = request() + frame(TEXT, '{"type":"hello","v":1,"name":"gone"}')
    for size in itertools.chain([0] * 100, range(0, len(whole), 5)):
        with socket.create_connection(("127.0.0.1", lively.port), PATIENCE) as raw:
            raw.sendall(whole[:size])
            reset = struct.pack("ii", 1, 0)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)


def test_half_closed_peer_that_does_not_read_is_aborted(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FLAGS)
    before = sockets(server)
    with unread(server) as raw:
        for _ in range(LEFT // PIECE):
            raw.sendall(frame(BINARY, bytes(PIECE)))
        raw.shutdown(socket.SHUT_WR)
        assert sockets(server) > before
        eventually(lambda: sockets(server) == before, "the connection was cut")


def test_pinging_peer_that_does_not_read_is_aborted(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FLAGS)
    before, pings = sockets(server), frame(PING, bytes(125)) * 500
    with unread(server) as raw:
        with pytest.raises(OSError, match=r"reset|pipe|timed out"):
            raw.sendall(pings * (FLOOD // len(pings)))
        eventually(lambda: sockets(server) == before, "the connection was cut")


@contextmanager
def unread(server: ChatServer) -> Iterator[socket.socket]:
    """Connect to `/echo` with a small receive buffer."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.settimeout(PATIENCE)
        raw.connect(("127.0.0.1", server.port))
        raw.sendall(request("/echo"))
        yield raw


def sockets(server: ChatServer) -> int:
    """Return the number of open sockets of the server."""
    found = 0
    for file in Path(f"/proc/{server.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += str(file.readlink()).startswith("socket:")
    return found
