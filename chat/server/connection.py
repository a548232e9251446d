"""One WebSocket connection: whole messages in, bounded writes out, and an end that always comes.

A thin layer on the library's connection. Messages are taken where frames are parsed, without a task
switch each; what is to be sent leaves through an `Outlet`. Every close has a deadline of its own,
and ends in `transport.abort()`: the library waits for a stalled reader without one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import BINARY, CONT, TEXT, Frame
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN, Event
from websockets.server import ServerProtocol

from chat.core.door import Door, Refusal
from chat.errors import CloseCode
from chat.server.outlet import Flusher, Outlet
from chat.server.tls import secure, take_over

__all__ = ["OPEN_TIMEOUT", "Connection", "Endpoint"]

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 10.0
"""Seconds that each handshake may take: TLS, then WebSocket."""
FRAGMENTS_MAX = 1_024
"""Fragments of one message; more are an attack, not a message."""
EARLY_MAX = 64
"""Frames a client may send before our handshake is on its way."""


class Endpoint(Protocol):
    """Who speaks on a connection. Its methods are called on the event loop and must not block."""

    def text_received(self, text: str) -> None:
        """Take one text message."""

    def binary_received(self, data: bytes) -> None:
        """Take one binary message."""

    def heartbeat(self) -> None:
        """Say what is due with every heartbeat."""

    def closed(self) -> None:
        """Let go of everything: the connection is over. Called once, nothing comes after it."""


class Connection(ServerConnection):
    """A server's end of one connection.

    Args:
        protocol: the library's state machine.
        server: the library's server.
        flusher: shared by all connections of the loop.
        queue_bytes: bytes that may wait for the peer; more, and it is closed as a slow reader.
        deadline: seconds from the start of a close to the cut.
        write_timeout: seconds the peer may leave what was written to it unread.
        door: counts the connection from its first byte to its last, and may refuse it.
        opened: called when the handshake is done; returns who speaks on this connection.
        registry: holds the connection as long as the door counts it.
        tls: makes the connection `wss://`.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        flusher: Flusher,
        queue_bytes: int,
        deadline: float,
        write_timeout: float,
        door: Door,
        opened: Callable[[Connection, Request], Endpoint],
        registry: set[Connection],
        tls: ssl.SSLContext | None,
        **options: Any,
    ) -> None:
        super().__init__(protocol, server, **options)
        self._deadline = deadline
        self._write_timeout = write_timeout
        self._door = door
        self._opened = opened
        self._registry = registry
        self._tls = tls
        self._address = ""
        self._is_counted = False
        self._is_begun = False
        self._securing: asyncio.Task[None] | None = None
        self._refusal: Refusal | None = None
        self._stalled_since: float | None = None
        self._fragments: list[Frame] = []
        self._early: list[Frame] | None = []
        self._held = 0
        self._abort_timer: asyncio.TimerHandle | None = None
        self.endpoint: Endpoint | None = None
        self.outlet = Outlet(flusher, queue_bytes, self._reads_slowly)
        self.beat_slot = secrets.randbelow(1 << 16)
        """Which of the heartbeat's ticks is this connection's, modulo their number."""
        self.is_heard = True
        """Whether anything came from the peer since the last heartbeat."""

    # Out

    def pause_writing(self) -> None:
        """Note that the peer does not read (called by the transport)."""
        super().pause_writing()
        self.outlet.pause()
        self._stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        """Go on writing: the peer has read (called by the transport)."""
        super().resume_writing()
        self._stalled_since = None
        self.outlet.resume()

    def beat(self) -> None:
        """Heartbeat: cut a peer from which nothing came since the last one, ping the others."""
        if self.protocol.state is not OPEN or self.endpoint is None:
            return
        if not self.is_heard and not self._held:  # while we do not read, we cannot hear
            self.end(CloseCode.HEARTBEAT_LOST, "nothing was heard from you for a heartbeat")
            return
        stalled = self._stalled_since
        if stalled is not None and self.loop.time() - stalled > self._write_timeout:
            self.end(CloseCode.SLOW_READER, "you have read nothing for too long; come back")
            return
        self.is_heard = False
        self.protocol.send_ping(b"")
        self.send_data()
        self.endpoint.heartbeat()

    def _reads_slowly(self) -> None:
        self.end(CloseCode.SLOW_READER, "you read too slowly; come back and read on")

    def end(self, code: CloseCode, reason: str) -> None:
        """Close with `code`, and cut the connection when the peer does not follow in time."""
        self._release_endpoint()
        if not self._is_begun:
            if self._securing is not None:
                self._securing.cancel()
            return
        if self.protocol.state is CONNECTING:
            self.transport.abort()
        if self.protocol.state is not OPEN:
            return
        self.outlet.flush()
        self.outlet.close()
        self.protocol.send_close(code, reason)
        try:
            self.send_data()
        except Exception:
            self.transport.abort()
        self._cut_in_time()

    # In

    def hold(self) -> None:
        """Stop reading until `release` was called as often: too much of this peer is under way."""
        self._held += 1
        if self._held == 1:
            self.transport.pause_reading()

    def release(self) -> None:
        """Undo one `hold`."""
        self._held -= 1
        if self._held == 0 and not self.transport.is_closing():
            self.transport.resume_reading()

    def process_event(self, event: Event) -> None:
        """Take whole messages at once; leave the handshake and control frames to the library."""
        if not isinstance(event, Frame):
            super().process_event(event)
            return
        if self.endpoint is None:
            self._keep_early(event)
            return
        self.is_heard = True
        opcode = event.opcode
        if opcode is TEXT or opcode is BINARY or opcode is CONT:
            if event.fin and not self._fragments:
                self._message_received(opcode is TEXT, bytes(event.data))
            else:
                self._fragment_received(event)
        else:
            super().process_event(event)

    def _keep_early(self, frame: Frame) -> None:
        # A client may write before it has read our handshake; after our end nothing counts.
        if self._early is None:
            return
        self._early.append(frame)
        if len(self._early) > EARLY_MAX:
            self.transport.abort()

    def _fragment_received(self, frame: Frame) -> None:
        # The library's parser bounds the message's bytes; the number of fragments is ours to bound.
        fragments = self._fragments
        fragments.append(frame)
        if len(fragments) > FRAGMENTS_MAX:
            fragments.clear()
            self.end(CloseCode.TOO_BIG, "too many fragments")
        elif frame.fin:
            data = b"".join(fragment.data for fragment in fragments)
            is_text = fragments[0].opcode is TEXT
            fragments.clear()
            self._message_received(is_text, data)

    def _message_received(self, is_text: bool, data: bytes) -> None:
        endpoint = self.endpoint
        if endpoint is None:
            return
        try:
            if is_text:
                endpoint.text_received(data.decode())
            else:
                endpoint.binary_received(data)
        except UnicodeDecodeError:
            self.end(CloseCode.INVALID_DATA, "a text frame must be valid UTF-8")
        except Exception:
            log.exception("a message could not be handled; its connection is closed")
            self.end(CloseCode.INTERNAL, "the server made a mistake; it is in its log")

    # Life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the door refuses it; with TLS, once that is made (called by transports)."""
        made = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if not self._is_counted:
            self._address = made.get_extra_info("peername")[0]
            self._refusal = self._door.arrive(self._address, self.loop.time())
            if self._refusal is not None and not self._refusal.is_told:
                made.abort()
                return
            self._is_counted = True
            self._registry.add(self)
            if self._tls is not None:
                securing = self._secure(take_over(made), self._tls)
                self._securing = self.loop.create_task(securing)
                return
        self._is_begun = True
        super().connection_made(made)

    async def _secure(self, plain: socket.socket, tls: ssl.SSLContext) -> None:
        try:
            await secure(plain, tls, self, OPEN_TIMEOUT)
        finally:
            if not self._is_begun:
                self._uncount()

    def data_received(self, data: bytes) -> None:
        """Read, and see to it that a close which the peer began or caused comes to its end."""
        super().data_received(data)
        if self.protocol.close_expected():
            self.outlet.close()
            self._release_endpoint()
            self._cut_in_time()

    def _cut_in_time(self) -> None:
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(self._deadline, self.transport.abort)

    async def run(self) -> None:
        """Serve the connection until it is lost (the library's handler)."""
        assert self.request is not None
        if self._refusal is not None:
            self.end(CloseCode.TOO_MANY_CONNECTIONS, self._refusal.reason)
            await self.wait_closed()
            return
        self.outlet.open(self.transport)
        self.endpoint = self._opened(self, self.request)
        early, self._early = self._early or [], None
        for frame in early:
            self.process_event(frame)
        try:
            await self.wait_closed()
        finally:
            self._release_endpoint()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything at once (called by the transport)."""
        if not self._is_begun:
            return
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.outlet.close()
        self._release_endpoint()
        self._uncount()
        super().connection_lost(exc)

    def _uncount(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._registry.discard(self)
            self._door.depart(self._address)

    def _release_endpoint(self) -> None:
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None:
            endpoint.closed()
