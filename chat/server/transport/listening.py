"""Listening sockets on all configured addresses, and the limit of open files."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple, Self

from chat.errors import StartupError

if sys.platform != "win32":
    import resource

__all__ = ["BACKLOG", "HostPort", "bind", "raise_file_limit", "reachable_hosts"]

log = logging.getLogger(__name__)

BACKLOG = 4_096
"""Connections that may wait to be accepted, for example when all clients reconnect at once."""
FILES_MAX = 1_048_576
"""Open files that are requested if the system sets no limit."""
PORT_MAX = 65_535

_OPTIONAL_HOSTS = {"::", "::1"}
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


class HostPort(NamedTuple):
    """An address to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` for a port of this machine only.

        Raises:
            ValueError: it is none of these; the message is for users.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("must have brackets around an IPv6 address, such as [::1]:3001")
        if not (colon and port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:3001 or [::1]:3001")
        return cls(host or "127.0.0.1", int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def bind(
    hosts: Sequence[str], port: int, *, host_flag: str = "--host", port_flag: str = "--port"
) -> list[socket.socket]:
    """Listen on every address of `hosts`, all on the same port; 0 picks a free one.

    A name such as `localhost` may have several addresses; this machine must have at least one of
    them. On a machine without IPv6, `::1` and `::` are skipped with a warning if another host
    works. Errors name the flags.

    Raises:
        StartupError: the port is in use, or an address cannot be used.
    """
    bound: dict[_Address, socket.socket] = {}
    missing: list[str] = []
    try:
        for host in hosts:
            addresses = _resolve(host, host_flag)
            for address in addresses:
                if address not in bound and (listening := _bind_one(address, port, port_flag)):
                    bound[address] = listening
                    port = listening.getsockname()[1]
            if bound.keys().isdisjoint(addresses):
                missing.append(host)
        if required := [host for host in missing if host not in _OPTIONAL_HOSTS or not bound]:
            raise StartupError(
                f"cannot listen: this machine does not have the address {', '.join(required)}; "
                f"change {host_flag}"
            )
        for host in missing:
            log.warning("not listening on %s: this machine has no IPv6", host)
    except BaseException:
        for listening in bound.values():
            listening.close()
        raise
    return list(bound.values())


def raise_file_limit() -> int:
    """Raise the process's limit of open files as far as possible; return the limit."""
    if sys.platform == "win32":
        return FILES_MAX
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # some systems allow less than the hard limit
            wanted = soft
    return wanted


@dataclass(frozen=True, slots=True)
class _Address:
    family: socket.AddressFamily
    host: str
    scope: int
    """The interface of a link-local address (RFC 4007); 0 for all others."""


def _resolve(host: str, flag: str) -> list[_Address]:
    """Return the distinct addresses of a host, in the resolver's order."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise StartupError(f"cannot resolve {flag} {host}: {reason}") from None
    unique: dict[_Address, None] = {}
    for family, _, _, _, address in found:
        unique[_Address(family, str(address[0]), _scope(address))] = None
    return list(unique)


def _scope(address: tuple[Any, ...]) -> int:
    return int(address[3]) if len(address) == 4 else 0


def _host_of(address: tuple[Any, ...]) -> str:
    """Return the host of a socket address in the form of a URL, with the zone if link-local."""
    host = str(address[0]).partition("%")[0]
    if scope := _scope(address):
        host += f"%{socket.if_indextoname(scope)}"
    return f"[{host}]" if ":" in host else host


def _bind_one(address: _Address, port: int, flag: str) -> socket.socket | None:
    """Return a listening socket; None if this machine does not have the address."""
    try:
        return _listen(address, port)
    except OSError as exc:
        if exc.errno in _NO_SUCH_ADDRESS:
            return None
        raise StartupError(_explain(exc, address.host, port, flag)) from None


def _listen(address: _Address, port: int) -> socket.socket:
    listening = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((address.host, port, 0, address.scope))
        else:
            listening.bind((address.host, port))
        # Listen now: two servers can bind the same port as long as neither of them listens.
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _explain(exc: OSError, address: str, port: int, flag: str) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"cannot listen on {address} port {port}: it is already in use (is another "
            f"chat-server running?); stop that program, or choose another port with {flag}"
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return (
            f"cannot listen on {address} port {port}: permission denied; choose a port above 1023 "
            f"with {flag}"
        )
    return f"cannot listen on {address} port {port}: {exc.strerror}"


def reachable_hosts(listening: socket.socket) -> list[str]:
    """Return the hosts, in the form of a URL, at which clients reach a listening socket.

    For `0.0.0.0` and `::`, these are the addresses of the machine's interfaces. Loopback and
    link-local addresses are returned only if there are no others.
    """
    address = listening.getsockname()
    if not ip_address(address[0].partition("%")[0]).is_unspecified:
        return [_host_of(address)]
    # Imported here: `ctypes` takes 2 ms, and only these two addresses need it.
    from chat.server.transport.interfaces import addresses

    found = map(ip_address, dict.fromkeys(addresses(listening.family)))
    usable = [each for each in found if not (each.is_loopback or each.is_link_local)]
    if not usable:
        usable = [ip_address("::1" if listening.family is socket.AF_INET6 else "127.0.0.1")]
    return [f"[{each}]" if each.version == 6 else str(each) for each in usable]
