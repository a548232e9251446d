"""Which web pages may connect (cross-site WebSocket hijacking, RFC 6455, 10.2).

A browser sends a page's origin; other programs send none, and are accepted. A page of this server's
own address is accepted too, but only under a name that is known to be this server's: by DNS
rebinding a foreign page can make its own name lead here. Addresses and `localhost` cannot be
rebound, nor can a name that a certificate stands for.
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
    """Return a web origin as browsers write it: in lower case, without a default port.

    Raises:
        ValueError: no browser can send it; the message says why.
    """
    if value == NULL:
        return value
    try:
        parts = _split(value)
        if parts.scheme in _WEB:
            raise ValueError(f"the origin of a page begins with {_WEB[parts.scheme]}://")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("an origin ends with the host and port, without a path")
        return _origin(parts.scheme, *_host_and_port(parts))
    except ValueError as exc:
        raise ValueError(f"can never match: {exc}") from None


def check_public_url(value: str) -> str:
    """Return the address of a chat server, `ws://…` or `wss://…`.

    Raises:
        ValueError: it is none; the message says why.
    """
    if "://" not in value:
        raise ValueError("it does not begin with ws:// or wss://")
    parts = _split(value)
    if parts.scheme not in _PORTS:
        raise ValueError("it does not begin with ws:// or wss://")
    if parts.query or parts.fragment:
        raise ValueError("it holds '?' or '#'")
    _host_and_port(parts)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = "" if parts.path == "/" else parts.path
    return f"{scheme}://{parts.netloc.lower()}{path}"


class Origins:
    """Decides about the origins of pages.

    Args:
        allowed: accepted origins, as `check_origin` returns them.
        public: addresses of this server, as `check_public_url` returns them.
        names: further names of this server.
        is_tls: whether the server has a certificate: browsers have checked its name then.
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
        """Return None for a page that may connect, or what the operator can do about it.

        Args:
            origin: the request's `Origin`.
            host: its `Host`.

        Raises:
            ValueError: the origin is no address at all.
        """
        urlsplit(origin)
        add = f"if its pages shall connect, start the server with --allow-origin {origin}"
        try:
            own = check_origin(origin)
        except ValueError:
            return "the origin cannot be read"
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
        return f"if this is an address of the server, start it with --public-url {public}"

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
        raise ValueError("it holds a space or a control character")
    if "*" in value:
        raise ValueError("there are no patterns; name each one")
    scheme, sign, rest = value.partition("://")
    if not sign or not scheme:
        raise ValueError("it does not begin with a scheme, such as https:// or wss://")
    if not rest.strip("/"):
        raise ValueError("it names no host")
    parts = urlsplit(value)
    if not parts.scheme:
        raise ValueError("it does not begin with a scheme, such as https:// or wss://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user's name")
    return parts


def _host_and_port(parts: SplitResult) -> tuple[str, int | None]:
    """Return the host in its usual spelling, and the port that is meant."""
    try:
        port = parts.port
    except ValueError:
        raise ValueError("its port is not one from 1 to 65535") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("its port is not one from 1 to 65535")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise ValueError("it names no host")
    with suppress(ValueError):
        return str(ip_address(host)), port or _PORTS.get(parts.scheme)
    try:
        host = host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("it names no host") from None
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
