"""One WebSocket connection: reading, bounded writing, heartbeat, and closing with a deadline.

`websockets.server.ServerProtocol` parses and builds frames without I/O; this module does the I/O.
It reads usual messages (whole, unfragmented) itself, which saves 6 µs of the library's 8.
A connection has no task, queue or future: handshakes and messages are handled where they are
parsed, and frames are sent through an `Outlet`. (With the library's own asyncio layer, connecting
took 2.5 times as long, and a connection used a third more memory.) Every close has a deadline,
after which the transport is aborted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
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
from chat.server.monitoring.logs import fields
from chat.server.monitoring.metrics import Metrics, close_label
from chat.server.transport.limits import ConnectionLimiter, Refusal
from chat.server.transport.outbound import Outlet, WriteCoalescer
from chat.server.transport.tls import Certificate, SchemeHints, accept_tls, detach_socket
from chat.text import counted, printable_line

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

__all__ = ["Connection", "ConnectionContext", "Endpoint"]


class Endpoint(Protocol):
    """The receiver of a connection's messages. Runs on the event loop and must not block."""

    def text_received(self, text: str) -> None:
        """Handle one text message."""

    def binary_received(self, data: bytes) -> None:
        """Handle one binary message."""

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Handle one message of a peer that exceeds its rate limit.

        Refuse it for `wait` seconds, or read more slowly with `Connection.charge`.
        """

    def heartbeat(self) -> None:
        """Send the frames that are due with every heartbeat."""

    def limits_changed(self) -> None:
        """Use the current limits: they have changed."""

    def closed(self) -> None:
        """Release all resources: the connection is over. Called once, and last."""


@dataclass(slots=True)
class ConnectionContext:
    """The settings and state that all connections of a server share.

    The numbers may change; `Connection.limits_changed` must be called for each connection then.
    """

    loop: asyncio.AbstractEventLoop
    coalescer: WriteCoalescer
    """Shared by all connections of the loop."""
    limiter: ConnectionLimiter
    """Counts and may refuse connections."""
    budgets: Budgets
    """Rate limits of received messages."""
    connections: set[Connection]
    """The connections that the limiter counts."""
    queue_bytes: int
    """Maximum of unsent bytes; a peer that exceeds it is closed as a slow reader."""
    frame_bytes: int
    """Maximum bytes of one message."""
    close_timeout: float
    """Seconds from the start of a close until the transport is aborted."""
    write_timeout: float
    """Seconds that written bytes may stay unread by the peer."""
    certificate: Certificate | None
    """Set for `wss://`."""
    hints: SchemeHints
    """Logs peers that use the wrong scheme."""
    respond: Callable[[Connection, Request], Response]
    """Answers the handshake request; status 101 accepts it."""
    open_endpoint: Callable[[Connection, Request], Endpoint]
    """Called after the handshake; returns the endpoint of the connection."""
    banned: Callable[[str], Refusal | None]
    """Returns the refusal of a banned address."""
    proxy_found: Callable[[str], None]
    """Called with the address of an undeclared proxy."""
    metrics: Metrics
    """Counts refused and ended connections, and refused frames."""


log = logging.getLogger(__name__)
_SLOTS = count()
_LIBRARY_LOG = logging.getLogger("websockets.server")

OPEN_TIMEOUT = 10.0
"""Seconds that each handshake may take: TLS, then WebSocket."""
FRAGMENTS_MAX = 1_024
"""Maximum fragments of one message."""
PARSED_MAX = 8_192
"""Bytes parsed at once. With the smallest frames, that blocks the event loop for 15 ms."""
WRITE_BUFFER_BYTES = 32_768
"""Bytes that the transport buffers before it calls `pause_writing`."""
CONTROL_BYTES_MAX = 65_536
"""Bytes of control frames that are buffered in addition for a peer that does not read."""
PROXY_HEADERS = ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP")
"""Headers that only proxies send; the first one holds the addresses of their clients."""
REQUEST_END = b"\r\n\r\n"
"""The end of a handshake request."""
TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS handshake (RFC 8446, 5.1); no HTTP request starts with it."""
HEADER = 6
"""Bytes of the header of a short frame (RFC 6455, 5.2): two, and the mask."""
MASKED = 0x80
"""Added to the length in the second byte, because clients mask their frames."""
SHORT_MAX, LENGTH_16 = 125, 126
"""The longest length in the second byte; 126 means that a length of 16 bits follows."""
TEXT_MESSAGE, BINARY_MESSAGE = 0x81, 0x82
"""The first byte of a whole, unfragmented message."""
MESSAGES = (TEXT_MESSAGE, BINARY_MESSAGE)
USUAL = (*MESSAGES, 0x88, 0x89, 0x8A)
"""The first byte of the frames that usual clients send: also close, ping, and pong."""
FIRST_BYTES_MAX = 16
"""Received bytes that are kept to find the HTTP method: longer than any usual method."""


class Connection(asyncio.Protocol):
    """A server's end of one connection."""

    __slots__ = (
        "_address",
        "_context",
        "_control_bytes",
        "_first_bytes",
        "_fragments",
        "_has_started",
        "_has_unusual_frames",
        "_is_closing",
        "_is_counted",
        "_is_lost",
        "_is_parse_scheduled",
        "_message_limit",
        "_opened_at",
        "_partial",
        "_pauses",
        "_refusal",
        "_stalled_since",
        "_throttle_timer",
        "_timer",
        "_tls_task",
        "_unparsed",
        "budget",
        "endpoint",
        "frames",
        "has_received",
        "heartbeat_slot",
        "outlet",
        "protocol",
        "source",
        "transport",
        "user",
    )

    def __init__(self, context: ConnectionContext) -> None:
        self._context = context
        self.protocol = ServerProtocol(max_size=context.frame_bytes, logger=_LIBRARY_LOG)
        self.transport: asyncio.Transport
        self._address = ""
        self._first_bytes = b""
        """The first bytes of the peer: its HTTP method, if it has one."""
        self._is_counted = False
        self._has_started = False
        self._is_closing = False
        self._is_lost: asyncio.Future[None] | None = None
        self._tls_task: asyncio.Task[None] | None = None
        self._refusal: Refusal | None = None
        self._stalled_since: float | None = None
        self._control_bytes = 0
        """Bytes of control frames written since the peer stopped reading."""
        self._fragments: list[Frame] | None = None
        self._pauses = 0
        """Calls of `pause_reading` that `resume_reading` has not undone."""
        self._unparsed: tuple[bytes, int] | None = None
        """Received bytes, and the offset of the first byte that is not parsed yet."""
        self._is_parse_scheduled = False
        self._message_limit = context.frame_bytes
        self._partial = b""
        """The beginning of a usual frame whose end has not arrived."""
        self._has_unusual_frames = False
        """Whether the peer sent a frame that only the library reads; all later ones go to it."""
        self._throttle_timer: asyncio.TimerHandle | None = None
        """Resumes reading after `charge` has paused it."""
        self._timer: asyncio.TimerHandle | None = None
        """Aborts the handshake, later the close, after its timeout."""
        self.endpoint: Endpoint | None = None
        self.user: str | None = None
        """The name of the user, once they are signed in."""
        self.frames = 0
        """Received messages."""
        self._opened_at: float | None = None
        """Time of the accepted handshake."""
        self.source: str | None = None
        """The source that frames and new names are counted for; None: they are not limited."""
        self.budget: Budget
        """The peer's rate limit; set with the handshake."""
        self.outlet = Outlet(context.coalescer, context.queue_bytes, self._end_slow_reader)
        self.heartbeat_slot = next(_SLOTS)
        """The heartbeat tick of this connection, modulo the number of ticks."""
        self.has_received = True
        """Whether anything was received since the last heartbeat."""

    @property
    def address(self) -> str:
        """The IP address of the client: behind a declared proxy, the one that the proxy names."""
        return self._address

    @property
    def is_settled(self) -> bool:
        """Whether all commands are answered and all frames are written, or the end has begun."""
        outlet = self.outlet
        return self.endpoint is None or (not outlet.pending_answers and outlet.is_empty)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the connection."""
        return self._context.loop

    # Out

    def pause_writing(self) -> None:
        """Buffer frames: the peer does not read (called by the transport)."""
        self.outlet.pause()
        self._stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        """Write the buffered frames: the peer reads again (called by the transport)."""
        self._stalled_since = None
        self._control_bytes = 0
        self.outlet.resume()

    def check_heartbeat(self) -> None:
        """Close the connection if the peer is silent or does not read; ping it otherwise.

        `App` calls this every `settings.heartbeat` seconds, so a silent peer is closed after one to
        two heartbeats.
        """
        if self.protocol.state is not OPEN or self.endpoint is None:
            return
        is_reading = not self._pauses and self._unparsed is None
        if is_reading and not self.has_received:
            self.end(CloseCode.HEARTBEAT_LOST, "heartbeat timeout: nothing was received from you")
            return
        stalled = self._stalled_since
        if stalled is not None and self.loop.time() - stalled > self._context.write_timeout:
            self.end(CloseCode.SLOW_READER, "write timeout: you have stopped reading; reconnect")
            return
        self.has_received = False
        self.protocol.send_ping(b"")
        self._write_pending()
        self.endpoint.heartbeat()

    def _end_slow_reader(self) -> None:
        self.end(CloseCode.SLOW_READER, "you read too slowly; reconnect and resume")

    def end(self, code: CloseCode, reason: str) -> None:
        """Close with `code`; abort the transport if the peer does not close in time."""
        self._close_endpoint()
        if not self._has_started:
            if self._tls_task is not None:
                self._tls_task.cancel()
            return
        if self.protocol.state is CONNECTING:
            self.transport.abort()
        if self.protocol.state is not OPEN:
            return
        self.outlet.flush()
        self.outlet.close()
        self.protocol.send_close(code, reason)
        self._write_pending()
        self._schedule_abort()

    def end_flood(self) -> None:
        """Close a peer that ignores its rate limit, and stop reading from it."""
        self.end(CloseCode.RATE_LIMITED, "rate limit exceeded; reconnect and send more slowly")
        self.pause_reading()

    def _write_pending(self) -> None:
        """Write the library's own output: handshakes and control frames."""
        pieces = self.protocol.data_to_send()
        if not pieces:
            return
        try:
            for data in _join_writes(pieces):
                if data:
                    self.transport.write(data)
                    if self.outlet.is_paused:
                        self._control_bytes += len(data)
                elif self.transport.can_write_eof():
                    self.transport.write_eof()
                else:  # TLS
                    self.transport.close()
        # A write on a closing connection raises; the type differs between the plain and TLS
        # transports of asyncio and uvloop. With any of them, nothing more can be written.
        except Exception:
            log.debug("write failed; aborting the connection", exc_info=True)
            self.transport.abort()

    # In

    def set_message_limit(self, size: int) -> None:
        """Close with 1009 when a later message has more than `size` bytes."""
        self._message_limit = self.protocol.max_message_size = size

    def start_budget(self, *, times: float = 1) -> None:
        """Limit the peer's rate to `times` that of a user, until it has signed in."""
        context = self._context
        self.budget = context.budgets.of_connection(self.source, context.loop.time(), times=times)

    def limits_changed(self) -> None:
        """Use the current limits of the context."""
        self.outlet.limit = self._context.queue_bytes
        self.set_message_limit(self._context.frame_bytes)
        if self.endpoint is not None:
            self.endpoint.limits_changed()

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading` was called as often as this method."""
        self._pauses += 1
        if self._pauses == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`."""
        self._pauses -= 1
        self._continue_reading()

    def _continue_reading(self) -> None:
        """Parse the remaining bytes, then read more, unless reading is paused."""
        if self._pauses or self.transport.is_closing():
            return
        if self._unparsed is None:
            self.transport.resume_reading()
        elif not self._is_parse_scheduled:
            self._is_parse_scheduled = True
            self.loop.call_soon(self._parse_next)

    def charge(self, size: int) -> None:
        """Charge an accepted frame to the budget; pause reading until the budget covers it."""
        wait = self.budget.charge(size, self.loop.time())
        if not wait:
            return
        if self._throttle_timer is None:
            self.pause_reading()
        else:
            self._throttle_timer.cancel()
        self._throttle_timer = self.loop.call_later(wait, self._end_throttle)

    def _end_throttle(self) -> None:
        self._throttle_timer = None
        self.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes in parts, so that many tiny frames do not block the event loop."""
        self.has_received = True
        if len(data) > PARSED_MAX:
            self._unparsed = data, PARSED_MAX
            self.transport.pause_reading()
        self._parse(data[:PARSED_MAX])
        if self._unparsed is not None:
            self._continue_reading()

    def _parse_next(self) -> None:
        self._is_parse_scheduled = False
        if self._unparsed is None or self._pauses or self.transport.is_closing():
            return
        data, start = self._unparsed
        end = start + PARSED_MAX
        self._unparsed = (data, end) if end < len(data) else None
        self._parse(data[start:end])
        self._continue_reading()

    def _parse(self, data: bytes) -> None:
        """Parse and handle bytes; start the close if the peer began or caused one."""
        protocol = self.protocol
        if protocol.state is CONNECTING:
            self._first_bytes = self._first_bytes or data[:FIRST_BYTES_MAX]
            if self._first_bytes.startswith(TLS_HANDSHAKE):
                self._refuse_tls()
                return
            head, end, rest = data.partition(REQUEST_END)
            if rest:  # the request is answered before the frames after it
                self._parse(head + end)
                data = rest
        if protocol.state is OPEN and not self._has_unusual_frames:
            self._parse_usual(data)
        else:
            self._parse_any(data)

    def _parse_usual(self, data: bytes) -> None:
        """Read whole messages; pass control frames to the library, and all after other frames."""
        data = self._partial + data
        self._partial = b""
        now = self._context.loop.time()
        at = control = 0  # from `control` to `at` are control frames
        size = len(data)
        while size - at >= 2:
            first, length, start = data[at], data[at + 1] ^ MASKED, at + HEADER
            if length == LENGTH_16 and first in MESSAGES:
                start += 2  # if these bytes have not arrived, neither has the end of the frame
                length = int.from_bytes(data[at + 2 : at + 4], "big")
            elif length > SHORT_MAX or first not in USUAL:
                length = sys.maxsize
            if length > self._message_limit:
                self._has_unusual_frames = True
                self._parse_any(data[control:])
                return
            end = start + length
            if end > size:
                break
            if first in MESSAGES:
                if control < at:
                    self._parse_any(data[control:at])
                payload = apply_mask(data[start:end], data[start - 4 : start])
                self._message_received(first == TEXT_MESSAGE, payload, now)
                control = end
            at = end
        if control < at:
            self._parse_any(data[control:at])
        self._partial = data[at:]

    def _parse_any(self, data: bytes) -> None:
        """Pass bytes to the library, and handle its events."""
        protocol = self.protocol
        protocol.receive_data(data)
        events = protocol.events_received()
        if protocol.handshake_exc is not None and not self._is_closing:
            self._answer_bad_request(protocol.handshake_exc)
        self._write_pending()
        if self._control_bytes > CONTROL_BYTES_MAX:
            self._end_slow_reader()
            self.pause_reading()  # permanently: every parsed ping would add a pong
        now = self._context.loop.time()
        for event in events:
            self._process_event(event, now)
        if protocol.state is not OPEN and protocol.close_expected():
            self._close_from_peer()

    def _refuse_tls(self) -> None:
        if not self.transport.is_closing():
            self._context.hints.add(
                self._address,
                "tried TLS (wss://), but this port is not encrypted: connect with ws://, or start"
                " the server with --tls-cert and --tls-key",
            )
            self.transport.close()

    def _answer_bad_request(self, error: Exception) -> None:
        """Answer a request that the library drops without an answer, such as one with a body."""
        if isinstance(error, InvalidMessage):
            cause = error.__cause__ or error
            method, space, _ = self._first_bytes.partition(b" ")
            if space and method.isalpha() and method not in (b"GET", b"HEAD"):
                response = self.respond(
                    HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed. Use GET or HEAD.\n"
                )
                response.headers["Allow"] = "GET, HEAD"
            else:
                response = self.respond(HTTPStatus.BAD_REQUEST, "Malformed HTTP request.\n")
            log.info("%s: malformed HTTP request: %s", self._address, _error_text(cause))
            self.transport.write(response.serialize())

    def eof_received(self) -> None:
        """Close: the peer has closed its side (called by the transport).

        Returning None makes the transport close once everything is written. If the peer does not
        read, that never happens, and the timeout aborts the transport.
        """
        self.protocol.receive_eof()
        self._write_pending()
        self._close_from_peer()

    def _close_from_peer(self) -> None:
        self.outlet.close()
        self._close_endpoint()
        self._schedule_abort()

    def _process_event(self, event: Event, now: float) -> None:
        """Handle the handshake request or one frame; the library answers control frames."""
        if not isinstance(event, Frame):
            assert isinstance(event, Request)
            self._answer_handshake(event)
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
        """Charge a frame that is not a message, and cannot be refused, to the budget."""
        if self.budget.spend(size, now) and self.budget.is_overrun(size, now):
            self.end_flood()

    def _fragment_received(self, frame: Frame, now: float) -> None:
        # The library's parser bounds the bytes of a message, but not the number of its fragments.
        fragments = self._fragments = self._fragments or []
        fragments.append(frame)
        if len(fragments) > FRAGMENTS_MAX:
            fragments.clear()
            self.end(CloseCode.TOO_BIG, "too many fragments")
            self.pause_reading()  # permanently
        elif not frame.fin:
            self._count_frame(0, now)  # the message is charged for its bytes
        else:
            data = b"".join(fragment.data for fragment in fragments)
            is_text = fragments[0].opcode is TEXT
            fragments.clear()
            self._message_received(is_text, data, now)

    def _message_received(self, is_text: bool, data: bytes, now: float) -> None:
        endpoint = self.endpoint
        if endpoint is None:
            return
        self.frames += 1
        try:
            if wait := self.budget.spend(len(data), now):
                self._context.metrics.rate_limited.value += 1
                endpoint.rate_exceeded(is_text, data, wait)
            elif is_text:
                endpoint.text_received(data.decode())
            else:
                endpoint.binary_received(data)
        except UnicodeDecodeError:
            self.end(CloseCode.INVALID_DATA, "a text frame must be valid UTF-8")
        except Exception:  # an internal error costs one connection, not the server
            log.exception("internal error while handling a message; closing its connection")
            self.end(CloseCode.INTERNAL, "internal server error; see the server's log")

    # Life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the TLS or WebSocket handshake, unless the limiter refuses the connection.

        Called by the transport; with TLS, called again by the encrypted transport.
        """
        made = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        context = self._context
        if not self._is_counted:
            peer = made.get_extra_info("peername")
            if peer is None:  # already disconnected
                made.abort()
                return
            self._address = peer[0]
            self._refusal = context.limiter.add(self._address, context.loop.time())
            if self._refusal is not None:
                context.metrics.refused_connections.value += 1
            if self._refusal is not None and not self._refusal.is_explained:
                made.abort()
                return
            self._is_counted = True
            context.connections.add(self)
            if context.certificate is not None:
                tls = context.certificate.context
                accepting = self._accept_tls(detach_socket(made), tls)
                self._tls_task = context.loop.create_task(accepting)
                return
        self._has_started = True
        self.transport = made
        made.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        self._timer = context.loop.call_later(OPEN_TIMEOUT, made.abort)

    async def _accept_tls(self, plain: socket.socket, tls: ssl.SSLContext) -> None:
        try:
            await accept_tls(plain, tls, self, OPEN_TIMEOUT, self._context.hints)
        finally:
            if not self._has_started:
                self._uncount()

    def _answer_handshake(self, request: Request) -> None:
        """Answer the request; open the endpoint if the request is accepted."""
        was_refused = self._refusal is not None
        self._identify_source(request.headers)
        if self._refusal is not None and not was_refused:
            self._context.metrics.refused_connections.value += 1
        is_aborted = self._refusal is not None and not self._refusal.is_explained
        # The library has sent EOF if an invalid frame or a close followed the request.
        if is_aborted or self.protocol.eof_sent:
            self.transport.abort()
            return
        response = self._context.respond(self, request)
        self.protocol.send_response(response)
        self._write_pending()
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        self._stop_timer()
        self._opened_at = self.loop.time()
        self._context.metrics.connections.value += 1
        if self._refusal is not None:
            self.end(self._refusal.code, self._refusal.reason)
            return
        self.outlet.open(self.transport)
        self.start_budget()
        self.endpoint = self._context.open_endpoint(self, request)

    def _identify_source(self, headers: Headers) -> None:
        """Find the address of the client, which may be behind a proxy."""
        limiter, address = self._context.limiter, self._address
        is_proxied = any(name in headers for name in PROXY_HEADERS)
        if limiter.is_proxy(address):
            found = limiter.client_address(address, headers.get_all(PROXY_HEADERS[0]))
            if found != address:
                is_proxied = False
                self._refusal = limiter.move(address, found, self.loop.time())
                self._address = found
        elif is_proxied and limiter.source(address, is_proxied=False) is None:
            self._context.proxy_found(address)
        self.source = limiter.source(self._address, is_proxied=is_proxied)
        self._refusal = self._refusal or self._context.banned(self._address)

    def respond(self, status: HTTPStatus, text: str) -> Response:
        """Return a plain text response; the connection closes after it."""
        return self.protocol.reject(status, text)

    def _schedule_abort(self) -> None:
        if self._is_closing:
            return
        self._stop_timer()
        self._is_closing = True
        self._timer = self.loop.call_later(self._context.close_timeout, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lost(self) -> asyncio.Future[None]:
        """Return a future that is done once the connection is over."""
        if self._is_lost is None:
            self._is_lost = self.loop.create_future()
            if not self._is_counted:
                self._is_lost.set_result(None)
        return self._is_lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Release all resources (called by the transport)."""
        if not self._has_started:
            return
        self._stop_timer()
        if self._throttle_timer is not None:
            self._throttle_timer.cancel()
        self.protocol.receive_eof()
        self.outlet.close()
        self._close_endpoint()
        if self._opened_at is not None:
            self._report_end(self._opened_at)
        self._uncount()

    def _report_end(self, opened_at: float) -> None:
        """Count and log the end of a WebSocket connection, in one line."""
        protocol, sent = self.protocol, self.protocol.close_sent
        code = None if sent is None else sent.code
        metrics = self._context.metrics
        metrics.connections.value -= 1
        metrics.disconnects.add(close_label(code))
        by, reason = None, ""
        if sent is None:
            how = "connection lost"
        elif protocol.close_rcvd_then_sent:
            by, how = "client", f"closed with {code} by the client"
        else:
            by, reason = "server", printable_line(sent.reason)
            how = f"closed with {code}: {reason}"
        seconds = self.loop.time() - opened_at
        log.info(
            "%s: %s (%s, %.1f s, %s)",
            *(self._address, how, self.user or "not signed in", seconds),
            counted(self.frames, "frame"),
            extra=fields(
                event="connection_closed",
                address=self._address,
                user=self.user,
                code=code,
                by=by,
                reason=reason,
                seconds=round(seconds, 3),
                frames=self.frames,
            ),
        )

    def _uncount(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._context.connections.discard(self)
            self._context.limiter.remove(self._address)
            if self._is_lost is not None:
                self._is_lost.set_result(None)

    def _close_endpoint(self) -> None:
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None:
            endpoint.closed()


def _error_text(error: BaseException) -> str:
    return printable_line(str(error) or type(error).__name__)[:200]


def _join_writes(pieces: Sequence[bytes]) -> Sequence[bytes]:
    """Join `pieces` into one write; a final empty piece, which means EOF, stays separate."""
    if len(pieces) < 2:
        return pieces
    data = b"".join(pieces)
    return (data, b"") if not pieces[-1] else (data,)
