"""A WebSocket client without a library, which can send invalid frames."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.serving import PATIENCE, ChatServer, eventually

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUE",
    "PING",
    "PONG",
    "TEXT",
    "ByHand",
    "frame",
    "request",
    "unharmed",
]

CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@contextmanager
def unharmed(data: Path, *flags: str) -> Iterator[ChatServer]:
    """Run a server; at the end, check that it holds no resources and logged no traceback."""
    with ChatServer(data, *flags) as server:
        idle = server.burden()
        yield server
        eventually(lambda: server.burden() == idle, "the server releases all resources")
        assert "Traceback" not in server.text, server.text


def request(path: str = "/", *headers: str) -> bytes:
    """Return a handshake request."""
    lines = (
        f"GET {path} HTTP/1.1",
        *("Host: chat", "Upgrade: websocket", "Connection: Upgrade"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"),
        *headers,
    )
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Return a WebSocket frame (RFC 6455, 5.2), valid or not; `length` is the length it claims."""
    data = payload.encode() if isinstance(payload, str) else payload
    size, mask = len(data) if length is None else length, 0x80 * masked
    first = bytes([0x80 * fin | rsv << 4 | opcode])
    if size < 126:
        head = first + bytes([mask | size])
    elif size < 1 << 16:
        head = first + bytes([mask | 126]) + struct.pack("!H", size)
    else:
        head = first + bytes([mask | 127]) + struct.pack("!Q", size)
    return head + bytes(4 * masked) + data  # a key of zeros masks nothing


@dataclass
class Output:
    """The output of a connection: number of texts, number of bytes, and the close code."""

    texts: int = 0
    size: int = 0
    code: int | None = None


class ByHand:
    """A connection after its handshake; every wait has a time limit."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._read = raw.makefile("rb")
        self.handshake = b"".join(iter(self._read.readline, b"\r\n"))

    @classmethod
    @contextmanager
    def connected(cls, server: ChatServer, path: str = "/", *headers: str) -> Iterator[Self]:
        """Connect, and complete the handshake."""
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
            raw.sendall(request(path, *headers))
            by_hand = cls(raw)
            with by_hand._read:
                yield by_hand

    def send(self, data: bytes) -> bool:
        """Send bytes; return whether the connection accepted them."""
        try:
            self._raw.sendall(data)
        except OSError:  # it has ended, or is about to
            return False
        return True

    def hello(self, name: str) -> None:
        """Sign in."""
        self.send(frame(TEXT, json.dumps({"type": "hello", "v": 1, "name": name})))
        assert self.expect("welcome"), f"{name} was refused"

    def expect(self, kind: str) -> dict[str, Any]:
        """Return the next frame of type `kind`; fail if none arrives."""
        if isinstance(found := self.answer(kind), dict):
            return found
        raise AssertionError(f"the connection ended ({found}) without a {kind}")

    def echo(self) -> bytes | None:
        """Return the next text; None: the connection ended without one."""
        try:
            while True:
                opcode, payload = self._frame()
                if opcode == TEXT:
                    return payload
                if opcode == CLOSE:
                    return None
        except (OSError, EOFError):
            return None

    def answer(self, *kinds: str) -> dict[str, Any] | int | None:
        """Return the next frame of these types, the close code, or None: it ended without one."""
        try:
            while True:
                opcode, payload = self._frame()
                if opcode == TEXT:
                    found: dict[str, Any] = json.loads(payload)
                    if found["type"] in kinds:
                        return found
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2])
        except (OSError, EOFError):
            return None

    def everything(self) -> Output:
        """Read until the connection ends."""
        output = Output()
        with suppress(OSError, EOFError):
            while output.code is None:
                opcode, payload = self._frame()
                output.texts += opcode == TEXT
                output.size += len(payload)
                if opcode == CLOSE:
                    output.code = int.from_bytes(payload[:2])
        return output

    def _frame(self) -> tuple[int, bytes]:
        first, size = self._exactly(2)
        if size == 126:
            size = int.from_bytes(self._exactly(2))
        elif size == 127:
            size = int.from_bytes(self._exactly(8))
        return first & 0x0F, self._exactly(size)

    def _exactly(self, count: int) -> bytes:
        data = self._read.read(count)
        if len(data) < count:
            raise EOFError
        return data
