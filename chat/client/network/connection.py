"""One WebSocket connection: open, send, receive, close. No protocol rules.

The only module of the client that imports `websockets`; its errors become `NoConnection` and
`ConnectionLost`, whose texts are for the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import socket
import ssl
import time
from http import HTTPStatus
from pathlib import Path
from typing import Literal
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
from chat.client.storage.known_servers import DEFAULT_URL, host_of
from chat.errors import ChatError
from chat.protocol import FEATURES_HEADER
from chat.text import printable_line

__all__ = ["Connection", "ConnectionLost", "NoConnection", "open_connection"]

SERVER_ID_HEADER = "Chat-Server-Id"
_NOT_NOW = (9, 10)
"""OpenSSL's errors of a certificate that is not valid yet, or no longer."""
_OTHER_NAME = (62, 64)
"""OpenSSL's errors of a certificate for another host name or address."""
OPEN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 1.0
FRAME_MAX = 16 * 1024 * 1024
PINGS_MAX = 200
"""Maximum number of pings by the server per second."""
UNREAD_MAX = 4 * 1024 * 1024
"""Maximum number of bytes waiting to be sent to a server that sends pings."""
_SERVER_ID = re.compile(r"[!-~]{1,128}")

# Never below warning: at debug level the library logs every frame, and `hello` contains a token.
_log = logging.getLogger("chat.client.websocket")
_log.setLevel(logging.WARNING)


class NoConnection(ChatError):
    """The connection could not be opened; the message says what to do."""


class ConnectionLost(ChatError):
    """The connection is closed; `code` is the close code, or None without a close frame."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason or "the connection was lost")
        self.code = code
        self.reason = reason


class Connection(ClientConnection):
    """An open connection.

    It is aborted if the server floods it with pings, or does not read the answers.
    """

    _pings = 0
    _second = 0

    @property
    def server_ids(self) -> list[str]:
        """The server's id from the handshake response; a chat server sends exactly one."""
        assert self.response is not None
        return self.response.headers.get_all(SERVER_ID_HEADER)

    @property
    def features(self) -> frozenset[str]:
        """The server's features beyond the first release; see `chat.protocol.FEATURES`."""
        assert self.response is not None
        listed = ",".join(self.response.headers.get_all(FEATURES_HEADER))
        return frozenset(filter(None, map(str.strip, listed.split(","))))

    async def receive(self) -> bytes:
        """Return the next frame's payload.

        Raises:
            ConnectionLost: the connection is closed.
        """
        try:
            return await self.recv(decode=False)
        except ConnectionClosed as exc:
            raise _lost(exc) from None

    async def send_text(self, data: bytes) -> None:
        """Send one text frame; wait while the send buffer is full.

        Raises:
            ConnectionLost: the connection is closed.
        """
        try:
            await self.send(data, text=True)
        except ConnectionClosed as exc:
            raise _lost(exc) from None

    async def end(self) -> None:
        """Close the connection within `CLOSE_TIMEOUT`, even if the other side does not answer."""
        with contextlib.suppress(TimeoutError, WebSocketException, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.close()
        self.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.wait_closed()

    def process_event(self, event: Event) -> None:
        """Count pings; called by the library for each frame."""
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            second = int(time.monotonic())
            self._pings = self._pings + 1 if second == self._second else 1
            self._second = second
            if (
                self._pings > PINGS_MAX
                or self.transport.get_write_buffer_size()
                > UNREAD_MAX  # also if other frames fill it
            ):
                self.transport.abort()
        super().process_event(event)


class _Connect(connect):
    """Follows no redirect: a token must not reach another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_connection(url: str, ca: Path | None = None) -> Connection:
    """Connect to the server at `url`.

    Args:
        url: the address.
        ca: the certificate of a private authority to trust besides those of the system.

    Raises:
        NoConnection: with the reason.
    """
    try:
        proxy = None if host_of(url) == "localhost" else proxy_for(url)
    except ValueError as exc:
        raise NoConnection(f"cannot reach {url}: {printable_line(str(exc))}") from None
    security = _security(ca) if url.startswith("wss://") else None
    opening = _Connect(
        url,
        create_connection=Connection,
        compression=None,
        proxy=proxy,
        ssl=security,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=None,  # the heartbeat detects a dead connection
        max_size=FRAME_MAX,
        logger=_log,
    )
    try:
        opened = await opening
    except (OSError, WebSocketException, ValueError) as exc:
        raise NoConnection(explain(exc, url, proxy, ca)) from exc
    assert isinstance(opened, Connection)
    ids = opened.server_ids
    if len(ids) != 1 or not _SERVER_ID.fullmatch(ids[0]):
        await opened.end()
        reason = "sends no id" if not any(ids) else "sends an invalid id"
        raise NoConnection(f"the server at {url} is not a chat server (it {reason})")
    return opened


def _security(ca: Path | None) -> ssl.SSLContext | Literal[True]:
    """Return the TLS settings; True: only the authorities of the system are trusted."""
    if ca is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as exc:  # `ssl.SSLError` is one
        reason = printable_line(exc.strerror or str(exc))
        raise NoConnection(f"cannot read the certificate authority {ca}: {reason}") from None
    return context


def _lost(exc: ConnectionClosed) -> ConnectionLost:
    close = exc.rcvd
    return ConnectionLost(close.code, close.reason) if close else ConnectionLost(None, "")


def explain(exc: Exception, url: str, proxy: str | None = None, ca: Path | None = None) -> str:
    """Explain why the connection could not be opened, and what to do."""
    if proxy is not None and (reason := _proxy_failure(exc, proxy)):
        return (
            f"cannot reach {url} through the proxy {printable_line(shown_proxy(proxy))}: {reason}"
        )
    if isinstance(exc, TimeoutError):
        return f"no answer from {url} within {OPEN_TIMEOUT:g} s"
    if isinstance(exc, ssl.SSLCertVerificationError):
        reason = printable_line(exc.verify_message).rstrip(".")
        return f"the certificate of {url} is not trusted: {reason}. {_how_to_trust(exc, ca)}"
    if isinstance(exc, ssl.SSLError):
        return f"no secure connection to {url}; is it a ws:// server? ({printable_line(str(exc))})"
    if isinstance(exc, InvalidStatus):
        return _explain_status(url, exc.response.status_code)
    if isinstance(exc, InvalidHandshake):
        encrypted = url.replace("ws://", "wss://", 1)
        hint = f" If it is encrypted, use {encrypted}" if url.startswith("ws://") else ""
        return f"the server at {url} is not a chat server: {printable_line(str(exc))}.{hint}"
    if _errors_of(exc) == {errno.ECONNREFUSED}:
        return f"no server at {url} (connection refused). {_how_to_start(url)}"
    if isinstance(exc, ConnectionResetError) and url.startswith("wss://"):
        return f"{url} closed the connection during the TLS handshake; is it a ws:// server?"
    if isinstance(exc, socket.gaierror):
        return f"cannot find the host {urlsplit(url).hostname}; check the name and your network"
    return f"cannot reach {url}: {printable_line(str(exc) or type(exc).__name__)}"


def _proxy_failure(exc: Exception, proxy: str) -> str:
    """Return why the proxy failed; empty if the server is the cause."""
    if isinstance(exc, TimeoutError):
        return f"no answer within {OPEN_TIMEOUT:g} s"
    if isinstance(exc, InvalidProxyStatus):
        return f"the proxy refused (HTTP status {exc.response.status_code})"
    if isinstance(exc, ProxyError):  # for SOCKS, the reason is in the cause
        return printable_line(str(exc.__cause__ or exc))
    if _errors_of(exc) == {errno.ECONNREFUSED}:
        return "connection refused; is the proxy running?"
    if isinstance(exc, socket.gaierror):
        return f"cannot find the host {printable_line(urlsplit(proxy).hostname or '')}"
    if isinstance(exc, OSError) and (not isinstance(exc, ssl.SSLError) or "https:" in proxy):
        return printable_line(str(exc) or type(exc).__name__)
    return ""


def _explain_status(url: str, status: int) -> str:
    """Explain why a server or a proxy did not accept the WebSocket handshake."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        reason = "is stopping, or not available"
    else:
        reason = "is not a chat server, or a proxy in front of it fails"
    return f"the server at {url} {reason} (HTTP status {status})"


def _errors_of(exc: Exception) -> set[int]:
    """Return the system error numbers; asyncio joins those of several addresses."""
    if isinstance(exc, OSError) and exc.errno is not None:
        return {exc.errno}
    return {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(exc))}


def _how_to_start(url: str) -> str:
    if host_of(url) != "localhost":
        return "Is the address right, and is the server running?"
    if url == DEFAULT_URL:
        return "Start one with: chat-server, or add the address of another one: --url wss://…"
    port = urlsplit(url).port or 80
    start = "chat-server" if port == 3000 else f"chat-server --port {port}"
    return f"Start one with: {start}, or check the address"


def _how_to_trust(error: ssl.SSLCertVerificationError, ca: Path | None) -> str:
    """Return what to do about a certificate that OpenSSL refuses."""
    if error.verify_code in _NOT_NOW:
        return (
            "Is the clock of this computer right? If it is, the operator must renew the certificate"
        )
    if error.verify_code in _OTHER_NAME:
        return "Use a host name of the certificate in --url"
    if ca is not None:
        return (
            f"It is not signed by the authority in {printable_line(str(ca))} (--ca): ask the "
            "operator for the right file"
        )
    if (file := os.environ.get("SSL_CERT_FILE")) and not os.path.isfile(file):
        return f"SSL_CERT_FILE names {printable_line(file)}, which is not a file"
    return (
        "If your team has its own certificate authority, start the client with its certificate: "
        "chat-client --ca ca.pem …"
    )
