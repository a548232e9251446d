"""Origin check: protection against cross-site WebSocket hijacking (RFC 6455, 10.2).

Browsers send the origin of a page; other programs send none and are accepted. A page from this
server's own address is accepted under a known name of the server only: DNS rebinding lets a foreign
page resolve its own name to this server. IP addresses, `localhost` and names with a certificate
cannot be rebound.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

__all__ = ["Origins", "check_origin", "check_public_url"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_WEB = {"ws": "http", "wss": "https"}
NULL = "null"


def check_origin(value: str) -> str:
    """Return an origin in the form that browsers send: lower case, without a default port.

    Raises:
        ValueError: no browser sends such an origin; the message says why.
    """
    if value == NULL:
        return value
    try:
        parts = _split(value)
        if parts.scheme in _WEB:
            raise ValueError(f"the origin of a page starts with {_WEB[parts.scheme]}://")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("an origin has no path, query or fragment")
        return _origin(parts.scheme, *_host_and_port(parts))
    except ValueError as exc:
        raise ValueError(f"can never match: {exc}") from None


def check_public_url(value: str) -> str:
    """Return the address of a chat server, `ws://…` or `wss://…`.

    Raises:
        ValueError: the value is not such an address; the message says why.
    """
    if "://" not in value:
        raise ValueError("it does not start with ws:// or wss://")
    parts = _split(value)
    if parts.scheme not in _PORTS:
        raise ValueError("it does not start with ws:// or wss://")
    if parts.query or parts.fragment:
        raise ValueError("it contains '?' or '#'")
    _host_and_port(parts)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = "" if parts.path == "/" else parts.path
    return f"{scheme}://{parts.netloc.lower()}{path}"


class Origins:
    """The origins that may connect.

    Args:
        allowed: accepted origins, as `check_origin` returns them.
        public: addresses of this server, as `check_public_url` returns them.
        names: other names of this server.
        is_tls: whether the server has a certificate, whose name browsers check.
    """

    def __init__(
        self, allowed: Iterable[str], public: Iterable[str], names: Iterable[str], *, is_tls: bool
    ) -> None:
        addresses = [urlsplit(each) for each in public]
        web = (_origin(_WEB[each.scheme], *_host_and_port(each)) for each in addresses)
        self._allowed = {*allowed, *web}
        hostname = socket.gethostname().lower()
        self._names = {
            "localhost",
            hostname,
            hostname.partition(".")[0],
            *(name.lower() for name in names),
            *(_host_and_port(each)[0] for each in addresses),
        }
        self._is_tls = is_tls

    def refusal(self, origin: str, host: str) -> str | None:
        """Return None for an accepted page, or advice for the operator.

        Args:
            origin: the request's `Origin`.
            host: the request's `Host`.

        Raises:
            ValueError: `origin` cannot be parsed.
        """
        urlsplit(origin)
        add = f"to accept its pages, start the server with --allow-origin {origin}"
        try:
            own = check_origin(origin)
        except ValueError:
            return "the origin is malformed"
        if own in self._allowed:
            return None
        if own == NULL:
            return add
        scheme = urlsplit(own).scheme
        try:
            reached = _origin(scheme, *_host_and_port(_split(f"{scheme}://{host}")))
        except ValueError:
            return add
        if own != reached:
            return add
        name = _host_and_port(urlsplit(own))[0]
        if self._is_tls or self._is_own(name):
            return None
        public = own.replace("http", "ws", 1)
        return f"if this is an address of the server, start the server with --public-url {public}"

    def _is_own(self, name: str) -> bool:
        bare = name.removesuffix(".local")
        return (
            name in self._names
            or bare in self._names
            or name.endswith(".localhost")
            or _is_address(name)
        )


def _split(value: str) -> SplitResult:
    if any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("it contains a space or a control character")
    if "*" in value:
        raise ValueError("patterns are not supported; give each value separately")
    scheme, sign, rest = value.partition("://")
    if not sign or not scheme:
        raise ValueError("it does not start with a scheme, such as https:// or wss://")
    if not rest.strip("/"):
        raise ValueError("it has no host")
    parts = urlsplit(value)
    if not parts.scheme:
        raise ValueError("it does not start with a scheme, such as https:// or wss://")
    if "@" in parts.netloc:
        raise ValueError("it contains a user name")
    return parts


def _host_and_port(parts: SplitResult) -> tuple[str, int | None]:
    """Return the normalized host, and the port or the scheme's default port."""
    try:
        port = parts.port
    except ValueError:
        raise ValueError("its port is not from 1 to 65535") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("its port is not from 1 to 65535")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise ValueError("it has no host")
    with suppress(ValueError):
        return str(ip_address(host)), port or _PORTS.get(parts.scheme)
    try:
        host = host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("its host name is invalid") from None
    return host, port or _PORTS.get(parts.scheme)


def _origin(scheme: str, host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port in (None, _PORTS.get(scheme)) else f":{port}")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
