"""One WebSocket connection: messages in, bounded writes out, heartbeat, and deadline of a close.

The library decides what the bytes of a peer mean, without I/O (`websockets.server.ServerProtocol`);
this module moves them. There is no task, queue or future for each connection: a handshake is
answered where its request was read, messages are taken where frames are parsed, and what is to be
sent leaves through an `Outlet`. (On the library's own asyncio layer, coming in took 2.5 times as
long, and a connection a third more memory.) Every close has a deadline of its own, and ends in
`transport.abort()`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Protocol, cast

from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage
from websockets.frames import BINARY, CLOSE, CONT, TEXT, Frame
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, OPEN, Event
from websockets.server import ServerProtocol

from chat.errors import CloseCode
from chat.rate import Budget, Budgets
from chat.server.transport.limits import ConnectionLimiter, Refusal
from chat.server.transport.outbound import Outlet, WriteCoalescer
from chat.server.transport.tls import secure, take_over
from chat.text import printable_line

__all__ = ["Connection", "ConnectionContext", "Endpoint"]


class Endpoint(Protocol):
    """Takes the messages of a connection, on the event loop; its methods must not block."""

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
class ConnectionContext:
    """Settings and state that all connections of a server share."""

    loop: asyncio.AbstractEventLoop
    coalescer: WriteCoalescer
    """Shared by all connections of the loop."""
    limiter: ConnectionLimiter
    """Counts a connection from its first byte to its last, and may refuse it."""
    budgets: Budgets
    """Budgets of what peers may send."""
    connections: set[Connection]
    """Holds a connection as long as the limiter counts it."""
    queue_bytes: int
    """Bytes that may wait for the peer; more, and it is closed as a slow reader."""
    frame_bytes: int
    """Bytes of one message."""
    close_timeout: float
    """Seconds from the start of a close to the cut."""
    write_timeout: float
    """Seconds the peer may leave what was written to it unread."""
    tls: ssl.SSLContext | None
    """Makes connections `wss://`."""
    respond: Callable[[Connection, Request], Response]
    """Answers the handshake's request; 101 lets the peer in."""
    open_endpoint: Callable[[Connection, Request], Endpoint]
    """Called when the handshake is done; returns who speaks on the connection."""
    proxy_found: Callable[[str], None]
    """Called with the address of a proxy that was not declared."""


log = logging.getLogger(__name__)
_SLOTS = count()
_LIBRARY_LOG = logging.getLogger("websockets.server")

OPEN_TIMEOUT = 10.0
"""Seconds that each handshake may take: TLS, then WebSocket."""
FRAGMENTS_MAX = 1_024
"""Fragments of one message; more are an attack, not a message."""
PART = 8_192
"""Bytes that are read at once. Of the smallest frames that is 15 ms, in which nobody is served."""
WRITTEN_MAX = 32_768
"""Bytes that the transport takes before it says that the peer does not read."""
UNREAD_MAX = 65_536
"""Bytes of pongs that may wait besides for a peer that does not read."""
PASSED_ON = ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP")
"""Headers that only proxies send; the first one names the address that they pass on."""
HEAD_END = b"\r\n\r\n"
"""The end of a handshake's request."""
TLS_HANDSHAKE = b"\x16"
"""The first byte of a peer that begins with TLS (RFC 8446, 5.1); no HTTP request begins so."""
FIRST = 16
"""Bytes that are kept of what a peer begins with: longer than any usual method."""


class Connection(asyncio.Protocol):
    """A server's end of one connection."""

    __slots__ = (
        "_address",
        "_context",
        "_first",
        "_fragments",
        "_held",
        "_is_begun",
        "_is_counted",
        "_is_cutting",
        "_is_lost",
        "_is_reading_on",
        "_left",
        "_refusal",
        "_resting",
        "_securing",
        "_stalled_since",
        "_timer",
        "_unread",
        "beat_slot",
        "budget",
        "endpoint",
        "is_heard",
        "outlet",
        "protocol",
        "source",
        "transport",
    )

    def __init__(self, context: ConnectionContext) -> None:
        self._context = context
        self.protocol = ServerProtocol(max_size=context.frame_bytes, logger=_LIBRARY_LOG)
        self.transport: asyncio.Transport
        self._address = ""
        self._first = b""
        """What a peer begins with: its HTTP method, if it has one."""
        self._is_counted = False
        self._is_begun = False
        self._is_cutting = False
        self._is_lost: asyncio.Future[None] | None = None
        self._securing: asyncio.Task[None] | None = None
        self._refusal: Refusal | None = None
        self._stalled_since: float | None = None
        self._unread = 0
        """Bytes that were written past the outlet since the peer stopped to read."""
        self._fragments: list[Frame] | None = None
        self._held = 0
        self._left: tuple[bytes, int] | None = None
        """Received bytes that were not parsed yet, and the offset of the first of them."""
        self._is_reading_on = False
        self._resting: asyncio.TimerHandle | None = None
        """Ends the pause of a peer that has sent too much."""
        self._timer: asyncio.TimerHandle | None = None
        """Cuts a handshake, later a close, that takes too long."""
        self.endpoint: Endpoint | None = None
        self.source: str | None = None
        """The address that frames and new names are counted for; None: they are not limited."""
        self.budget: Budget
        """The peer's budget, from the handshake on."""
        self.outlet = Outlet(context.coalescer, context.queue_bytes, self._reads_slowly)
        self.beat_slot = next(_SLOTS)
        """Which of the heartbeat's ticks is this connection's, modulo their number."""
        self.is_heard = True
        """Whether anything came from the peer since the last heartbeat."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the connection lives on."""
        return self._context.loop

    # Out

    def pause_writing(self) -> None:
        """Note that the peer does not read (called by the transport)."""
        self.outlet.pause()
        self._stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        """Go on writing: the peer has read (called by the transport)."""
        self._stalled_since = None
        self._unread = 0
        self.outlet.resume()

    def beat(self) -> None:
        """Heartbeat: cut a peer from which nothing came since the last one, ping the others.

        `App` calls it every `settings.heartbeat` seconds, so a silent peer lives for one to two.
        """
        if self.protocol.state is not OPEN or self.endpoint is None:
            return
        is_reading = not self._held and self._left is None
        if is_reading and not self.is_heard:
            self.end(CloseCode.HEARTBEAT_LOST, "nothing was heard from you for a heartbeat")
            return
        stalled = self._stalled_since
        if stalled is not None and self.loop.time() - stalled > self._context.write_timeout:
            self.end(CloseCode.SLOW_READER, "you have read nothing for too long; come back")
            return
        self.is_heard = False
        self.protocol.send_ping(b"")
        self._write_out()
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
        if code not in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
            self._log_end(code, reason)
        self.outlet.flush()
        self.outlet.close()
        self.protocol.send_close(code, reason)
        self._write_out()
        self._cut_in_time()

    def end_flood(self) -> None:
        """Close a peer that goes on although it has sent too much, and read nothing more of it."""
        self.end(CloseCode.RATE_LIMITED, "you send far too much; come back slower")
        self.hold()

    def _write_out(self) -> None:
        """Write what the library's protocol has to say: handshakes and control frames."""
        pieces = self.protocol.data_to_send()
        if not pieces:
            return
        try:
            for data in _joined(pieces):
                if data:
                    self.transport.write(data)
                    if self.outlet.is_paused:
                        self._unread += len(data)
                elif self.transport.can_write_eof():
                    self.transport.write_eof()
                else:  # TLS
                    self.transport.close()
        # A write on a closing connection raises, and asyncio's and uvloop's plain and TLS
        # transports raise different types. Whatever the type, nothing more can be written.
        except Exception:
            log.debug("a write failed; the connection is cut", exc_info=True)
            self.transport.abort()

    # In

    def limit_messages(self, size: int) -> None:
        """Close with 1009 when a message has more than `size` bytes, from the next one on."""
        self.protocol.max_message_size = size

    def hold(self) -> None:
        """Stop reading until `release` was called as often: too much of this peer is under way."""
        self._held += 1
        if self._held == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def release(self) -> None:
        """Undo one `hold`."""
        self._held -= 1
        self._go_on()

    def _go_on(self) -> None:
        """Read what is left, and then what comes, unless reading is held."""
        if self._held or self.transport.is_closing():
            return
        if self._left is None:
            self.transport.resume_reading()
        elif not self._is_reading_on:
            self._is_reading_on = True
            self.loop.call_soon(self._read_on)

    def charge(self, size: int) -> None:
        """Pay for a frame that is taken all the same; the peer is not read until it can pay."""
        wait = self.budget.charge(size, self.loop.time())
        if not wait:
            return
        if self._resting is None:
            self.hold()
        else:
            self._resting.cancel()
        self._resting = self.loop.call_later(wait, self._rest_is_over)

    def _rest_is_over(self) -> None:
        self._resting = None
        self.release()

    def data_received(self, data: bytes) -> None:
        """Read a part; others have their turn before the next, for frames may be tiny and many."""
        self.is_heard = True
        if len(data) > PART:
            self._left = data, PART
            self.transport.pause_reading()
        self._read(data[:PART])
        if self._left is not None:
            self._go_on()

    def _read_on(self) -> None:
        self._is_reading_on = False
        if self._left is None or self._held or self.transport.is_closing():
            return
        data, start = self._left
        end = start + PART
        self._left = (data, end) if end < len(data) else None
        self._read(data[start:end])
        self._go_on()

    def _read(self, data: bytes) -> None:
        """Read, and see to it that a close which the peer began or caused comes to its end."""
        protocol = self.protocol
        if protocol.state is CONNECTING:
            self._first = self._first or data[:FIRST]
            if self._first.startswith(TLS_HANDSHAKE):
                self._refuse_tls()
                return
            head, end, rest = data.partition(HEAD_END)
            if rest:  # nothing goes out before the answer to the request
                self._read(head + end)
                data = rest
        protocol.receive_data(data)
        events = protocol.events_received()
        if protocol.state is not OPEN:
            self._explain_failure()
        self._write_out()
        if self._unread > UNREAD_MAX:
            self._reads_slowly()
            self.hold()  # for good: each ping that is read is answered
        now = self._context.loop.time()
        for event in events:
            self._process_event(event, now)
        if protocol.state is not OPEN and protocol.close_expected():
            self._let_go()

    def _explain_failure(self) -> None:
        """Answer a handshake that failed; log why the library closes a connection."""
        protocol = self.protocol
        if protocol.handshake_exc is not None and not self._is_cutting:
            self._answer_unreadable(protocol.handshake_exc)
        elif protocol.parser_exc is not None and self.endpoint is not None:
            self._log_fault(protocol.parser_exc)

    def _refuse_tls(self) -> None:
        if not self.transport.is_closing():
            log.info(
                "%s speaks TLS (wss://) to this port, which is not encrypted: connect with ws://, "
                "or start the server with --tls-cert and --tls-key",
                self._address,
            )
            self.transport.close()

    def _answer_unreadable(self, error: Exception) -> None:
        """Answer a request that the library gives up without a word, such as one with a body."""
        if isinstance(error, InvalidMessage):
            cause = error.__cause__ or error
            method, space, _ = self._first.partition(b" ")
            if space and method.isalpha() and method not in (b"GET", b"HEAD"):
                response = self.respond(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD.\n")
                response.headers["Allow"] = "GET, HEAD"
            else:
                response = self.respond(HTTPStatus.BAD_REQUEST, "The request cannot be read.\n")
            log.info("%s: no readable HTTP request: %s", self._address, _line(cause))
            self.transport.write(response.serialize())

    def _log_fault(self, error: Exception) -> None:
        if (sent := self.protocol.close_sent) is not None:  # otherwise the network failed
            self._log_end(sent.code, _line(error))

    def _log_end(self, code: int | None, reason: str) -> None:
        log.info("%s: closed with %s: %s", self._address, code, reason)

    def eof_received(self) -> None:
        """Note that the peer has closed; so does the transport, for this returns nothing.

        It does so once all is written, and so never if the peer does not read: it is cut then.
        """
        self.protocol.receive_eof()
        self._write_out()
        self._let_go()

    def _let_go(self) -> None:
        self.outlet.close()
        self._release_endpoint()
        self._cut_in_time()

    def _process_event(self, event: Event, now: float) -> None:
        """Take the handshake's request, then whole messages; the library answers control frames."""
        if not isinstance(event, Frame):
            assert isinstance(event, Request)
            self._shake_hands(event)
            return
        if self.endpoint is None:
            return
        opcode = event.opcode
        if opcode is TEXT or opcode is BINARY or opcode is CONT:
            if event.fin and not self._fragments:
                self._message_received(opcode is TEXT, bytes(event.data), now)
            else:
                self._fragment_received(event, now)
        elif opcode is not CLOSE:
            self._count_frame(len(event.data), now)

    def _count_frame(self, size: int, now: float) -> None:
        """Pay for a frame that is no message, and so cannot be refused."""
        if self.budget.spend(size, now) and self.budget.is_overrun(size, now):
            self.end_flood()

    def _fragment_received(self, frame: Frame, now: float) -> None:
        # The library's parser bounds the message's bytes; the number of fragments is ours to bound.
        fragments = self._fragments = self._fragments or []
        fragments.append(frame)
        if len(fragments) > FRAGMENTS_MAX:
            fragments.clear()
            self.end(CloseCode.TOO_BIG, "too many fragments")
            self.hold()  # for good: what still comes is not worth reading
        elif not frame.fin:
            self._count_frame(0, now)  # its bytes are paid with the message
        else:
            data = b"".join(fragment.data for fragment in fragments)
            is_text = fragments[0].opcode is TEXT
            fragments.clear()
            self._message_received(is_text, data, now)

    def _message_received(self, is_text: bool, data: bytes, now: float) -> None:
        endpoint = self.endpoint
        if endpoint is None:
            return
        try:
            if wait := self.budget.spend(len(data), now):
                endpoint.put_off(is_text, data, wait)
            elif is_text:
                endpoint.text_received(data.decode())
            else:
                endpoint.binary_received(data)
        except UnicodeDecodeError:
            self.end(CloseCode.INVALID_DATA, "a text frame must be valid UTF-8")
        except Exception:  # an internal error costs one connection, not the server
            log.exception("a message could not be handled; its connection is closed")
            self.end(CloseCode.INTERNAL, "the server made a mistake; it is in its log")

    # Life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the limiter refuses it; with TLS, after that (called by transports)."""
        made = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        context = self._context
        if not self._is_counted:
            peer = made.get_extra_info("peername")
            if peer is None:  # it came and went
                made.abort()
                return
            self._address = peer[0]
            self._refusal = context.limiter.arrive(self._address, context.loop.time())
            if self._refusal is not None and not self._refusal.is_told:
                made.abort()
                return
            self._is_counted = True
            context.connections.add(self)
            if context.tls is not None:
                securing = self._secure(take_over(made), context.tls)
                self._securing = context.loop.create_task(securing)
                return
        self._is_begun = True
        self.transport = made
        made.set_write_buffer_limits(WRITTEN_MAX)
        self._timer = context.loop.call_later(OPEN_TIMEOUT, made.abort)

    async def _secure(self, plain: socket.socket, tls: ssl.SSLContext) -> None:
        try:
            await secure(plain, tls, self, OPEN_TIMEOUT)
        finally:
            if not self._is_begun:
                self._uncount()

    def _shake_hands(self, request: Request) -> None:
        """Answer the request, and let who speaks here begin."""
        self._recognize(request.headers)
        is_cut = self._refusal is not None and not self._refusal.is_told
        if (
            is_cut or self.protocol.eof_sent
        ):  # what came with its last byte was no frame, or a close
            self.transport.abort()
            return
        response = self._context.respond(self, request)
        self.protocol.send_response(response)
        self._write_out()
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        self._stop_timer()
        if self._refusal is not None:
            self.end(CloseCode.TOO_MANY_CONNECTIONS, self._refusal.reason)
            return
        self.outlet.open(self.transport)
        self.budget = self._context.budgets.of_connection(self.source, self.loop.time())
        self.endpoint = self._context.open_endpoint(self, request)

    def _recognize(self, headers: Headers) -> None:
        """Find out whose connection this is: a proxy's headers say whose it passes on."""
        limiter, address = self._context.limiter, self._address
        is_passed_on = any(name in headers for name in PASSED_ON)
        if limiter.is_proxy(address):
            found = limiter.behind(address, headers.get_all(PASSED_ON[0]))
            if found != address:
                is_passed_on = False
                self._refusal = limiter.move(address, found, self.loop.time())
                self._address = found
        elif is_passed_on and limiter.source(address, is_passed_on=False) is None:
            self._context.proxy_found(address)
        self.source = limiter.source(self._address, is_passed_on=is_passed_on)

    def respond(self, status: HTTPStatus, text: str) -> Response:
        """Return a response in plain text, after which the connection closes."""
        return self.protocol.reject(status, text)

    def _cut_in_time(self) -> None:
        if self._is_cutting:
            return
        self._stop_timer()
        self._is_cutting = True
        self._timer = self.loop.call_later(self._context.close_timeout, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lost(self) -> asyncio.Future[None]:
        """Return a future that is done when the connection is over."""
        if self._is_lost is None:
            self._is_lost = self.loop.create_future()
            if not self._is_counted:
                self._is_lost.set_result(None)
        return self._is_lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything at once (called by the transport)."""
        if not self._is_begun:
            return
        self._stop_timer()
        if self._resting is not None:
            self._resting.cancel()
        self.protocol.receive_eof()
        self.outlet.close()
        self._release_endpoint()
        self._uncount()

    def _uncount(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._context.connections.discard(self)
            self._context.limiter.depart(self._address)
            if self._is_lost is not None:
                self._is_lost.set_result(None)

    def _release_endpoint(self) -> None:
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None:
            endpoint.closed()


def _line(error: BaseException) -> str:
    return printable_line(str(error) or type(error).__name__)[:200]


def _joined(pieces: Sequence[bytes]) -> Sequence[bytes]:
    """Return what is to be written, in one piece; an empty one, which means the end, stays."""
    if len(pieces) < 2:
        return pieces
    data = b"".join(pieces)
    return (data, b"") if not pieces[-1] else (data,)
