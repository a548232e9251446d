"""The bytes that a connection sends to each kind of server, to join a room and to talk there."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "CHAT",
    "CHAT_AGAIN",
    "CHAT_ECHO",
    "ECHO",
    "IRC",
    "MARK",
    "NATS",
    "REDIS",
    "TOY",
    "Dialect",
]

MARK = b";"
"""Occurs once in every text and nowhere else (nor as a length in a frame's header, like `~`)."""
TEXT = MARK + b"x" * 99


@dataclass(frozen=True)
class Dialect:
    """Templates know `{i}` (the connection), `{room}`, `{n}` (the message) and its `{text}`.

    A reconnecting client also knows the groups that `learn` found before.

    Args:
        steps: pairs of bytes to send and bytes to wait for.
        message: sends the text to the room.
        path: path of the WebSocket endpoint; None: lines over plain TCP.
        is_told_oneself: whether the sender receives its own messages.
        again: if this is read instead, the step is repeated (while hundreds join, a connection may
            fall behind before it follows).
    """

    steps: tuple[tuple[str, str], ...]
    message: str
    path: str | None = None
    is_told_oneself: bool = True
    again: str | None = None
    learn: re.Pattern[bytes] | None = None

    def opening(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the steps of a connection as templates of bytes, the handshake first."""
        if self.path is None:
            return tuple((say.encode(), wait.encode()) for say, wait in self.steps)
        handshake = (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        return (
            (handshake.encode(), b"\r\n\r\n"),
            *((say.encode(), wait.encode()) for say, wait in self.steps),
        )

    def frame(self, template: bytes, **values: int | bytes) -> bytes:
        """Fill in a template; for WebSocket, put it into a frame."""
        for name, value in values.items():
            filling = value if isinstance(value, bytes) else b"%d" % value
            template = template.replace(b"{%s}" % name.encode(), filling)
        template = template.replace(b"{text}", TEXT)
        if self.path is None or template.startswith(b"GET "):
            return template
        length = len(template)
        head = (
            bytes((0x81, 0x80 | length))
            if length < 126
            else bytes((0x81, 0x80 | 126)) + length.to_bytes(2, "big")
        )
        return head + bytes(4) + template  # masked with zeros, which changes nothing


_HELLO = '{"type":"hello","v":1,"name":"u{i}","token":"a-token-of-at-least-32-letters-{i}"'
CHAT = Dialect(
    (
        (_HELLO + "}", "welcome"),
        ('{"type":"join","channel":"#r{room}"}', '"complete":true'),
    ),
    '{"type":"send","channel":"#r{room}","text":"{text}","cid":"{n}"}',
    path="/",
    again='"complete":false',
    learn=re.compile(rb'"channel":"#r\d+","epoch":"(?P<epoch>[^"]+)","head":(?P<head>\d+)'),
)
CHAT_AGAIN = Dialect(
    (
        (
            _HELLO + ',"resume":{"#r{room}":{"epoch":"{epoch}","after":{head}}}}',
            '"recovered":true',
        ),
    ),
    CHAT.message,
    path="/",
)
CHAT_ECHO = Dialect((), "{text}", path="/echo")
TOY = Dialect(
    (('{"type":"join","room":"r{room}","user":"u{i}"}', '"joined"'),),
    '{"type":"msg","room":"r{room}","text":"{text}"}',
    path="/",
)
ECHO = Dialect((), "{text}", path="/")
IRC = Dialect(
    (("NICK u{i}\r\nUSER u{i} 0 * :u{i}\r\n", " 001 "), ("JOIN #r{room}\r\n", " 366 ")),
    "PRIVMSG #r{room} :{text}\r\n",
    is_told_oneself=False,
)
NATS = Dialect(
    (('CONNECT {"verbose":false,"echo":true}\r\nSUB r{room} 1\r\nPING\r\n', "PONG"),),
    "PUB r{room} 100\r\n{text}\r\n",
)
REDIS = Dialect(
    (("HELLO 3\r\nSUBSCRIBE r{room}\r\n", "subscribe"),),
    "PUBLISH r{room} {text}\r\n",
)
