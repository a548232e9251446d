"""HTTP answers: health, the refusal of other requests, and the acceptance of handshakes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from chat import __version__
from chat.protocol import FEATURES, FEATURES_HEADER
from chat.server.channels.builtin import Counter
from chat.server.config.settings import ServerSettings
from chat.server.monitoring.health import Health
from chat.server.transport.connection import Connection
from chat.server.transport.origins import Origins
from chat.text import printable_line

__all__ = ["COUNTER_PATH", "ECHO_PATH", "NO_METRICS", "HttpAnswers", "path_of"]

log = logging.getLogger(__name__)

COUNTER_PATH = "/counter"
ECHO_PATH = "/echo"
CHAT_PATH = "/"
METRICS_PATH = "/metrics"
SOCKET_PATHS = (CHAT_PATH, COUNTER_PATH, ECHO_PATH)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format of Prometheus."""
NO_METRICS = (
    "no metrics: the package prometheus-client is not installed; install it with "
    "`pip install prometheus-client`, then restart the server"
)
METRICS_ELSEWHERE = (
    "Metrics are served on another port, which is not public: start the server with "
    "--metrics-listen HOST:PORT"
)
METHODS = ("GET", "HEAD")
SCHEMES = ("http", "https", "ws", "wss")
_INVALID_IN_PATH = frozenset('[]<>"{}|\\^`')
REFUSED_ORIGINS_MAX = 100
"""Refused origins that are logged; a limit, because clients can invent any number of them."""


Page = Callable[[Connection, Request], Response]


class HttpAnswers:
    """Answers requests on the port of the chat, and on the port for operators.

    Args:
        settings: the settings of the server.
        server_id: the id of the database.
        health: the content of `/healthz` and `/readyz`.
        connections: the open connections.
        render_metrics: returns the content of `/metrics`; None: the library is not installed.
    """

    def __init__(
        self,
        settings: ServerSettings,
        server_id: str,
        health: Health,
        connections: Collection[Connection],
        render_metrics: Callable[[], bytes] | None = None,
    ) -> None:
        self._server_id = server_id
        self._health = health
        self._connections = connections
        self._render_metrics = render_metrics
        self._refused_origins: set[str] = set()
        self.use(settings)
        pages: dict[str, Page] = {
            "/healthz": self._report_health,
            "/readyz": self._report_readiness,
        }
        self._public_pages = {**dict.fromkeys(SOCKET_PATHS, self._open_socket), **pages}
        self._operator_pages = {**pages, METRICS_PATH: self._report_metrics}

    def use(self, settings: ServerSettings) -> None:
        """Use these settings from now on."""
        self._settings = settings
        self._origins = Origins(
            settings.allow_origin, settings.public_url, settings.host, is_tls=settings.is_tls
        )

    def respond(self, connection: Connection, request: Request) -> Response:
        """Answer a plain HTTP request, or accept or refuse a WebSocket handshake."""
        response = _answer(connection, request, self._public_pages)
        # Clients store tokens by server id, and send only fields that the server knows, so they
        # must know both before `hello`.
        response.headers["Chat-Server-Id"] = self._server_id
        response.headers[FEATURES_HEADER] = ", ".join(FEATURES)
        return response

    def respond_to_operator(self, connection: Connection, request: Request) -> Response:
        """Answer a request on the port of `--metrics-listen`."""
        return _answer(connection, request, self._operator_pages)

    def _open_socket(self, connection: Connection, request: Request) -> Response:
        """Accept or refuse a WebSocket handshake."""
        is_upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
        if not is_upgrade or request.method != "GET":
            response = connection.respond(
                HTTPStatus.UPGRADE_REQUIRED,
                "This is a chat server. Connect with a WebSocket client, such as chat-client.\n",
            )
            response.headers["Upgrade"] = "websocket"
            return response
        if (refusal := self._health.refusal) is not None:
            text = f"{refusal[0].upper()}{refusal[1:]}.\n"
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, text)
        is_chat = path_of(request) == CHAT_PATH
        if is_chat and (advice := self._origin_refusal(request)) is not None:
            return connection.respond(
                HTTPStatus.FORBIDDEN, f"Web pages from this origin may not connect; {advice}.\n"
            )
        return _accept(connection.protocol, request)

    def _origin_refusal(self, request: Request) -> str | None:
        """Return None for an accepted origin, or advice for the operator."""
        origins = request.headers.get_all("Origin")
        if not origins:
            return None
        origin, host = origins[0], request.headers.get("Host", "")
        if len(origins) > 1:
            return "the request has several Origin headers"
        advice = self._origins.refusal(origin, host)
        if advice is None:
            return None
        refused = self._refused_origins
        if origin not in refused and len(refused) < REFUSED_ORIGINS_MAX:
            refused.add(origin)
            shown = (printable_line(text)[:200] for text in (origin, host, advice))
            log.warning("rejected a web page from %s (Host: %s); %s", *shown)
        return advice

    def _report_health(self, _connection: Connection, _request: Request) -> Response:
        fault = self._health.fault
        body = {
            "status": "ok" if fault is None else "unavailable",
            "connections": sum(c.endpoint is not None for c in self._connections),
            "tasks": len(asyncio.all_tasks()),
            "timers": Counter.running,
            "server": {
                "id": self._server_id,
                "name": self._settings.server_name,
                "version": __version__,
            },
        }
        if fault is not None:
            body["reason"] = fault
        status = HTTPStatus.OK if fault is None else HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, "application/json", json.dumps(body).encode() + b"\n")

    def _report_readiness(self, _connection: Connection, _request: Request) -> Response:
        reasons = self._health.unready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        lines = "".join(f"{line}\n" for line in reasons or [self._health.degradation or "ready"])
        return _response(status, "text/plain; charset=utf-8", lines.encode())

    def _report_metrics(self, connection: Connection, _request: Request) -> Response:
        if self._render_metrics is None:
            return connection.respond(HTTPStatus.NOT_IMPLEMENTED, f"{NO_METRICS}\n")
        try:
            return _response(HTTPStatus.OK, METRICS_TYPE, self._render_metrics())
        except Exception:  # an internal error costs one scrape
            log.exception("cannot render the metrics")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return connection.respond(status, "Internal error; see the server's log.\n")


def _answer(connection: Connection, request: Request, pages: Mapping[str, Page]) -> Response:
    """Answer a request with one of the pages, or with the reason of its refusal."""
    try:
        response = _refusal(connection, request, pages) or pages[path_of(request)](
            connection, request
        )
    except (ValueError, LookupError):  # a malformed path or origin; a repeated header
        response = connection.respond(HTTPStatus.BAD_REQUEST, "Malformed request.\n")
    if request.method == "HEAD":
        response.body = b""  # `Content-Length` stays (RFC 9110, 9.3.2)
    return response


def _refusal(
    connection: Connection, request: Request, pages: Mapping[str, Page]
) -> Response | None:
    """Refuse a request that none of the pages can answer, or return None.

    Raises:
        ValueError: the request is malformed.
    """
    path = path_of(request)
    if len(hosts := request.headers.get_all("Host")) != 1 and (
        hosts or request.protocol != "HTTP/1.0"
    ):
        raise ValueError("a request must have one Host header (RFC 9112, 3.2)")
    if path not in pages:
        advice = METRICS_ELSEWHERE if path == METRICS_PATH else f"Paths: {', '.join(pages)}"
        return connection.respond(HTTPStatus.NOT_FOUND, f"Not found. {advice}\n")
    if request.method not in METHODS:
        response = connection.respond(
            HTTPStatus.METHOD_NOT_ALLOWED, f"Method not allowed. Methods: {', '.join(METHODS)}\n"
        )
        response.headers["Allow"] = ", ".join(METHODS)
        return response
    return None


def _response(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    """Return an answer that must not be cached; the connection closes after it."""
    headers = Headers(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)


def _accept(protocol: ServerProtocol, request: Request) -> Response:
    """Accept a handshake without a `Date` header, which takes the library 15 µs, a tenth of it."""
    try:
        accept, _extensions, _subprotocol = protocol.process_request(request)
    except Exception:  # the library builds the refusal
        return protocol.accept(request)
    headers = Headers()
    headers["Upgrade"] = "websocket"
    headers["Connection"] = "Upgrade"
    headers["Sec-WebSocket-Accept"] = accept
    status = HTTPStatus.SWITCHING_PROTOCOLS
    return Response(status.value, status.phrase, headers)


def path_of(request: Request) -> str:
    """Return the normalized path of a request, without its query (RFC 3986, 6.2).

    Raises:
        ValueError: the request target is malformed.
    """
    target = request.path
    if not _INVALID_IN_PATH.isdisjoint(target):
        raise ValueError(target)
    target = target.partition("?")[0]
    if not target.startswith("/"):  # in absolute form (RFC 9112, 3.2.2)
        scheme, sign, rest = target.partition("://")
        if not sign or scheme.lower() not in SCHEMES:
            raise ValueError(target)
        target = "/" + rest.partition("/")[2]
    return unquote(target)
