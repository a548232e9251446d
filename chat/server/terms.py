"""What a connection is made of from outside: who speaks on it, and what all of them share."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from websockets.http11 import Request, Response

from chat.core.door import Door
from chat.core.rate import Budgets
from chat.server.outlet import Flusher

if TYPE_CHECKING:
    from chat.server.connection import Connection

__all__ = ["Endpoint", "Terms"]


class Endpoint(Protocol):
    """Who speaks on a connection. Its methods are called on the event loop and must not block."""

    def text_received(self, text: str) -> None:
        """Take one text message."""

    def binary_received(self, data: bytes) -> None:
        """Take one binary message."""

    def put_off(self, is_text: bool, data: bytes, wait: float) -> None:
        """Take one message of a peer that has sent too much.

        Refuse it for `wait` seconds, or read the peer more slowly with `Connection.charge`.
        """

    def heartbeat(self) -> None:
        """Say what is due with every heartbeat."""

    def closed(self) -> None:
        """Let go of everything: the connection is over. Called once, nothing comes after it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all connections of a server have in common."""

    loop: asyncio.AbstractEventLoop
    flusher: Flusher
    """Shared by all connections of the loop."""
    queue_bytes: int
    """Bytes that may wait for the peer; more, and it is closed as a slow reader."""
    frame_bytes: int
    """Bytes of one message."""
    deadline: float
    """Seconds from the start of a close to the cut."""
    write_timeout: float
    """Seconds the peer may leave what was written to it unread."""
    door: Door
    """Counts a connection from its first byte to its last, and may refuse it."""
    budgets: Budgets
    """What peers may send."""
    answer: Callable[[Connection, Request], Response]
    """Answers the handshake's request; 101 lets the peer in."""
    opened: Callable[[Connection, Request], Endpoint]
    """Called when the handshake is done; returns who speaks on the connection."""
    found_proxy: Callable[[str], None]
    """Called with the address of a proxy that was not declared."""
    registry: set[Connection]
    """Holds a connection as long as the door counts it."""
    tls: ssl.SSLContext | None
    """Makes connections `wss://`."""
