"""One WebSocket connection: open, send, receive, close. No protocol rules.

The only file of the client that knows the `websockets` library; its errors become two of ours,
whose text is for a person.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from chat.client.network.proxies import proxy_for, shown_proxy
from chat.client.storage.known_servers import host_of
from chat.errors import ChatError
from chat.text import printable_line

__all__ = ["Connection", "ConnectionLost", "NoConnection", "open_connection"]

SERVER_ID_HEADER = "Chat-Server-Id"
OPEN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 1.0
FRAME_MAX = 16 * 1024 * 1024
PINGS_MAX = 200
"""Most pings of a server within one second."""
UNREAD_MAX = 4 * 1024 * 1024
"""Most bytes that wait for a server that sends pings."""
_SERVER_ID = re.compile(r"[!-~]{1,128}")

# Never below warnings: at debug level the library logs every frame, and `hello` holds a secret.
_log = logging.getLogger("chat.client.websocket")
_log.setLevel(logging.WARNING)


class NoConnection(ChatError):
    """No connection came about; the message says what to do."""


class ConnectionLost(ChatError):
    """The connection is over; `code` is the close code, None if it broke without one."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason or "the connection broke")
        self.code = code
        self.reason = reason


class Connection(ClientConnection):
    """An open connection.

    It cuts off a server that floods with pings, or takes none of the answers.
    """

    _pings = 0
    _second = 0

    @property
    def server_ids(self) -> list[str]:
        """The server's id, from the handshake's response; none or several: it is no chat server."""
        assert self.response is not None
        return self.response.headers.get_all(SERVER_ID_HEADER)

    async def receive(self) -> bytes:
        """Return the next frame's payload.

        Raises:
            ConnectionLost: the connection is over.
        """
        try:
            return await self.recv(decode=False)
        except ConnectionClosed as exc:
            raise _lost(exc) from None

    async def send_text(self, data: bytes) -> None:
        """Send one text frame; waits while the network takes no more.

        Raises:
            ConnectionLost: the connection is over.
        """
        try:
            await self.send(data, text=True)
        except ConnectionClosed as exc:
            raise _lost(exc) from None

    async def end(self) -> None:
        """Close the connection, within `CLOSE_TIMEOUT` whatever the other side does."""
        with contextlib.suppress(TimeoutError, WebSocketException, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.close()
        self.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.wait_closed()

    def process_event(self, event: Event) -> None:
        """Take a frame (called by the library)."""
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            second = int(time.monotonic())
            self._pings = self._pings + 1 if second == self._second else 1
            self._second = second
            if (
                self._pings > PINGS_MAX
                or self.transport.get_write_buffer_size() > UNREAD_MAX  # whatever fills it
            ):
                self.transport.abort()
        super().process_event(event)


class _Connect(connect):
    """Follows no redirect: a secret meant for one host must not reach another."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_connection(url: str) -> Connection:
    """Connect to the server at `url`.

    Raises:
        NoConnection: with the reason.
    """
    try:
        proxy = None if host_of(url) == "localhost" else proxy_for(url)
    except ValueError as exc:
        raise NoConnection(f"cannot reach {url}: {printable_line(str(exc))}") from None
    opening = _Connect(
        url,
        create_connection=Connection,
        compression=None,
        proxy=proxy,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=None,  # `heads` come with every heartbeat; their absence is what counts
        max_size=FRAME_MAX,
        logger=_log,
    )
    try:
        opened = await opening
    except (OSError, WebSocketException, ValueError) as exc:
        raise NoConnection(explain(exc, url, proxy)) from exc
    assert isinstance(opened, Connection)
    ids = opened.server_ids
    if len(ids) != 1 or not _SERVER_ID.fullmatch(ids[0]):
        await opened.end()
        told = "tells no id" if not any(ids) else "tells an id that is none"
        raise NoConnection(f"what answers at {url} is not a chat server (it {told})")
    return opened


def _lost(exc: ConnectionClosed) -> ConnectionLost:
    close = exc.rcvd
    return ConnectionLost(close.code, close.reason) if close else ConnectionLost(None, "")


def explain(exc: Exception, url: str, proxy: str | None = None) -> str:
    """Say why no connection came about, and what to do."""
    if proxy is not None and (reason := _proxy_failure(exc, proxy)):
        return (
            f"cannot reach {url} through the proxy {printable_line(shown_proxy(proxy))}: {reason}"
        )
    if isinstance(exc, TimeoutError):
        return f"no answer from {url} within {OPEN_TIMEOUT:g} s"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"the certificate of {url} is not trusted: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"no secure connection to {url}; is it a ws:// server? ({printable_line(str(exc))})"
    if isinstance(exc, InvalidStatus):
        return (
            f"what answers at {url} is not a chat server, or cannot be reached through what is "
            f"before it (HTTP status {exc.response.status_code})"
        )
    if isinstance(exc, InvalidHandshake):
        encrypted = url.replace("ws://", "wss://", 1)
        hint = f" If it is encrypted, use {encrypted}" if url.startswith("ws://") else ""
        return f"what answers at {url} is not a chat server: {printable_line(str(exc))}.{hint}"
    if _errors_of(exc) == {errno.ECONNREFUSED}:
        return f"no server at {url} (connection refused). {_how_to_start(url)}"
    if isinstance(exc, ConnectionResetError) and url.startswith("wss://"):
        return f"{url} ended the connection before it was secure; is it a ws:// server?"
    if isinstance(exc, socket.gaierror):
        return f"cannot find the host {urlsplit(url).hostname}; are you online?"
    return f"cannot reach {url}: {printable_line(str(exc) or type(exc).__name__)}"


def _proxy_failure(exc: Exception, proxy: str) -> str:
    """Return why the way through the proxy failed; nothing, if the server is the cause."""
    if isinstance(exc, TimeoutError):
        return f"no answer within {OPEN_TIMEOUT:g} s"
    if isinstance(exc, InvalidProxyStatus):
        return f"the proxy refused (HTTP status {exc.response.status_code})"
    if isinstance(exc, ProxyError):  # of a SOCKS proxy, the cause has the reason
        return printable_line(str(exc.__cause__ or exc))
    if _errors_of(exc) == {errno.ECONNREFUSED}:
        return "connection refused; is the proxy running?"
    if isinstance(exc, socket.gaierror):
        return f"no host named {printable_line(urlsplit(proxy).hostname or '')} can be found"
    if isinstance(exc, OSError) and (not isinstance(exc, ssl.SSLError) or "https:" in proxy):
        return printable_line(str(exc) or type(exc).__name__)
    return ""


def _errors_of(exc: Exception) -> set[int]:
    """Return the system's error numbers; for a host of several addresses asyncio joins them."""
    if isinstance(exc, OSError) and exc.errno is not None:
        return {exc.errno}
    return {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(exc))}


def _how_to_start(url: str) -> str:
    if host_of(url) != "localhost":
        return "Is the address right, and is the server running?"
    port = urlsplit(url).port or 80
    return "Start one with: chat-server" + ("" if port == 3000 else f" --port {port}")
