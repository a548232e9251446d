"""The composition root: builds everything, listens, and ends in good order. Reads top-down."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from chat import __version__
from chat.broker.memory import MemoryBroker
from chat.core.door import Door
from chat.core.ids import Ids
from chat.errors import CloseCode, StartupError
from chat.protocol.frames import Bye
from chat.server import tls
from chat.server.builtin import Counter, RawCounter, RawEcho
from chat.server.commands import TABLE
from chat.server.config import ServerSettings
from chat.server.connection import Connection
from chat.server.listening import BACKLOG, bind, open_files
from chat.server.outlet import Flusher
from chat.server.services import Services
from chat.server.session import Register, Session
from chat.server.terms import Endpoint, Terms
from chat.store.store import Store

__all__ = ["run"]

log = logging.getLogger(__name__)

TOLD_TWICE = 128
"""Exit code, plus the signal's number, of a server that a second signal ended."""
OWN_FILES = 64
"""Open files that are not connections: the database's, listening sockets, some to spare."""
FILES_MIN = 16
GARBAGE = 20_000
"""Objects between two collections of cyclic garbage; Python's default is 700."""
COUNTER_PATH = "/counter"
ECHO_PATH = "/echo"
CHAT_PATH = "/"
HEALTH_PATH = "/healthz"
PATHS = (CHAT_PATH, COUNTER_PATH, ECHO_PATH)


async def run(settings: ServerSettings, announce: Callable[[list[str]], None]) -> None:
    """Serve until SIGINT or SIGTERM; a second one ends the process at once, without a goodbye.

    Args:
        settings: checked settings.
        announce: called once, with the addresses to connect to, when clients can connect.

    Raises:
        StartupError: the port, the certificate or the database cannot be used.
    """
    app = App(settings, asyncio.get_running_loop())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(number, stop)
    await app.start()
    _collect_seldom()
    try:
        announce(app.addresses)
        await stop.wait()
    finally:
        await app.stop()


def _collect_seldom() -> None:
    """Let the collector of cyclic garbage pass over what stays, and come less often.

    What a server allocates is its connections and what waits for a commit: next to nothing of it is
    cyclic garbage, but with the defaults each message that waits pays for looking at all the others
    (with 1,000 people who talk: 15 % of the time).
    """
    gc.freeze()
    gc.set_threshold(GARBAGE)


def _on_signal(number: signal.Signals, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            os._exit(TOLD_TWICE + number)  # what was acknowledged is on disk
        stop.set()

    try:
        loop.add_signal_handler(number, told)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(told))


class App:
    """A running server."""

    def __init__(self, settings: ServerSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.loop = loop
        self.services = Services(settings, loop, MemoryBroker())
        self.sessions: Register = {}
        self.addresses: list[str] = []
        self._session_ids = Ids()
        self._terms: Terms
        self._servers: list[asyncio.Server] = []
        self._is_stopping = False
        self._beat: asyncio.TimerHandle | None = None
        self._beat_slot = 0

    async def start(self) -> None:
        """Open the store, then listen; what was opened is closed again if a step fails."""
        settings = self.settings
        self._terms = self._agree(tls.context(settings.tls_cert, settings.tls_key))
        sockets = bind(settings.host, settings.port)
        try:
            self.services.store = await asyncio.to_thread(
                Store.open,
                settings.store_url,
                limits=settings.limits,
                committed=self.services.committed,
            )
        except BaseException:
            for listening in sockets:
                listening.close()
            raise
        try:
            for listening in sockets:
                await self._listen(listening)
        except BaseException as exc:
            for listening in sockets[len(self._servers) :]:
                listening.close()
            await self.stop()
            if isinstance(exc, OSError):
                raise StartupError(f"cannot listen: {exc.strerror or exc}") from None
            raise
        self._beat = self.loop.call_later(self._slot_time, self._heartbeat)

    async def _listen(self, listening: socket.socket) -> None:
        settings = self.settings
        address = listening.getsockname()
        self._servers.append(
            await self.loop.create_server(
                lambda: Connection(self._terms), sock=listening, backlog=BACKLOG
            )
        )
        scheme = "wss" if settings.is_tls else "ws"
        self.addresses.append(f"{scheme}://{_host_port(address)}")

    async def stop(self) -> None:
        """Say bye, finish commits, close with 1001, and cut whoever does not follow in time."""
        if self._beat is not None:
            self._beat.cancel()
        self._is_stopping = True
        for server in self._servers:
            server.close()
        services = self.services
        bye = Bye(reason="the server is stopping", reconnect=self.settings.reconnect_window)
        for connection in tuple(services.connections):
            if isinstance(connection.endpoint, Session):
                connection.endpoint.send(bye)
                connection.endpoint.stop_taking_commands()
        await asyncio.sleep(0)  # what was taken is on its way to the store
        await asyncio.to_thread(services.store.close)
        await asyncio.sleep(0)  # the last commits' events and answers leave
        for connection in tuple(services.connections):
            connection.end(CloseCode.GOING_AWAY, "the server is stopping")
        await asyncio.gather(*(connection.lost() for connection in services.connections))

    # Connections

    def _agree(self, made: ssl.SSLContext | None) -> Terms:
        settings = self.settings
        return Terms(
            loop=self.loop,
            flusher=Flusher(self.loop),
            queue_bytes=settings.queue_bytes,
            frame_bytes=settings.limits.frame,
            deadline=settings.close_timeout,
            write_timeout=settings.write_timeout,
            door=_door(settings),
            answer=self._answer,
            opened=self._endpoint,
            registry=self.services.connections,
            tls=made,
        )

    def _endpoint(self, connection: Connection, request: Request) -> Endpoint:
        path = _path(request)
        if path == COUNTER_PATH:
            return RawCounter(connection)
        if path == ECHO_PATH:
            return RawEcho(connection)
        return Session(connection, self.services, self._session_ids.new(), TABLE, self.sessions)

    # Heartbeats: one timer for all; each tick takes its share, so that they do not come in a burst.

    @property
    def _slots(self) -> int:
        return max(1, int(self.settings.heartbeat))

    @property
    def _slot_time(self) -> float:
        return self.settings.heartbeat / self._slots

    def _heartbeat(self) -> None:
        self._beat = self.loop.call_later(self._slot_time, self._heartbeat)
        self._beat_slot = (self._beat_slot + 1) % self._slots
        for connection in tuple(self.services.connections):
            if connection.beat_slot % self._slots == self._beat_slot:
                connection.beat()

    # HTTP

    def _answer(self, connection: Connection, request: Request) -> Response:
        """Answer plain HTTP, refuse foreign pages, accept WebSocket handshakes."""
        try:
            response = self._refusal(connection, request) or _accept(connection.protocol, request)
        except (ValueError, LookupError):  # no address; a header that stands there twice
            response = connection.respond(
                HTTPStatus.BAD_REQUEST, "This request cannot be understood.\n"
            )
        # A client keeps its token by the server's id, so it must know the id before `hello`.
        response.headers["Chat-Server-Id"] = self.services.store.server_id
        return response

    def _refusal(self, connection: Connection, request: Request) -> Response | None:
        path = _path(request)
        is_upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
        if path == HEALTH_PATH and not is_upgrade:
            return self._health()
        if path not in PATHS:
            return connection.respond(
                HTTPStatus.NOT_FOUND, f"Nothing is here. Paths: {', '.join(PATHS)}, {HEALTH_PATH}\n"
            )
        if not is_upgrade:
            return connection.respond(
                HTTPStatus.UPGRADE_REQUIRED,
                "This is a chat server: connect with WebSocket, for example with chat-client.\n",
            )
        if self._is_stopping:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.\n")
        if path == CHAT_PATH and not self._is_origin_allowed(request):
            return connection.respond(
                HTTPStatus.FORBIDDEN,
                "Pages of this origin may not connect; the operator can add it with "
                "--allow-origin.\n",
            )
        return None

    def _is_origin_allowed(self, request: Request) -> bool:
        """Keep foreign web pages out (cross-site WebSocket hijacking, RFC 6455 section 10.2)."""
        origins = request.headers.get_all("Origin")
        if not origins:
            return True
        origin = origins[0]
        if len(origins) > 1 or origin == "null":
            return "null" in self.settings.allow_origin and len(origins) == 1
        if origin.rstrip("/") in (allowed.rstrip("/") for allowed in self.settings.allow_origin):
            return True
        return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower() != ""

    def _health(self) -> Response:
        store = self.services.store
        fault = store.healthy()
        body = {
            "status": "ok" if fault is None else "unavailable",
            "connections": sum(c.endpoint is not None for c in self.services.connections),
            "tasks": len(asyncio.all_tasks(self.loop)),
            "timers": Counter.running,
            "server": {
                "id": store.server_id,
                "name": self.settings.server_name,
                "version": __version__,
            },
        }
        if fault is not None:
            body["reason"] = fault
        status = HTTPStatus.OK if fault is None else HTTPStatus.SERVICE_UNAVAILABLE
        payload = json.dumps(body).encode() + b"\n"
        headers = Headers(
            {
                "Content-Type": "application/json",
                "Content-Length": str(len(payload)),
                "Cache-Control": "no-store",
                "Connection": "close",
            }
        )
        return Response(status.value, status.phrase, headers, payload)


def _door(settings: ServerSettings) -> Door:
    return Door(
        total=settings.connections or max(FILES_MIN, open_files() - OWN_FILES),
        each=settings.address_connections,
        rate=settings.address_rate,
        burst=settings.address_burst,
        exempt=settings.exempt_address,
    )


def _accept(protocol: ServerProtocol, request: Request) -> Response:
    """Answer a handshake as the library does, but without a date: it took 15 µs, a tenth of all."""
    try:
        accept, _extensions, _subprotocol = protocol.process_request(request)
    except Exception:  # the library knows what to say
        return protocol.accept(request)
    headers = Headers()
    headers["Upgrade"] = "websocket"
    headers["Connection"] = "Upgrade"
    headers["Sec-WebSocket-Accept"] = accept
    status = HTTPStatus.SWITCHING_PROTOCOLS
    return Response(status.value, status.phrase, headers)


def _path(request: Request) -> str:
    return urlsplit(request.path).path or "/"


def _host_port(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
