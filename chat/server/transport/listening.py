"""Listening sockets: all addresses on one port, or one clear line that says why not.

And how many connections the system lets this process have.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from chat.errors import StartupError

if sys.platform != "win32":
    import resource

__all__ = ["BACKLOG", "bind", "hosts_of", "open_files"]

log = logging.getLogger(__name__)

BACKLOG = 4_096
"""Connections that may wait to be accepted, as when everybody returns at once."""
FILES_MAX = 1_048_576
"""Open files we ask for where the system sets no bound."""
_IS_UP = 1
"""IFF_UP: the interface is in use."""
_EVERYWHERE = {"::", "::1"}
_IS_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


def bind(hosts: list[str], port: int) -> list[socket.socket]:
    """Bind every address of `hosts` to the same port; 0 picks one that is free on the first.

    A name such as `localhost` may stand for several addresses, of which this machine must have one.
    Without IPv6 `::1` and `::` are left out, with a line in the log, if another address is there.

    Raises:
        StartupError: the port is taken, or an address cannot be used.
    """
    bound: dict[_Address, socket.socket] = {}
    missing: list[str] = []
    try:
        for host in hosts:
            addresses = _resolve(host)
            for address in addresses:
                if address not in bound and (one := _bind_one(address, port)) is not None:
                    bound[address] = one
                    port = one.getsockname()[1]
            if bound.keys().isdisjoint(addresses):
                missing.append(host)
        if needed := [host for host in missing if host not in _EVERYWHERE or not bound]:
            raise StartupError(
                f"this machine does not have the address {', '.join(needed)} (--host); nothing was "
                "started"
            )
        for host in missing:
            log.warning("not listening on %s: this machine has no IPv6", host)
    except BaseException:
        for one in bound.values():
            one.close()
        raise
    return list(bound.values())


def open_files() -> int:
    """Raise the number of files this process may open as far as it may; return it."""
    if sys.platform == "win32":
        return FILES_MAX
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # some systems allow less than they say
            wanted = soft
    return wanted


@dataclass(frozen=True, slots=True)
class _Address:
    family: socket.AddressFamily
    host: str
    scope: int
    """The interface of a link-local address (RFC 4007); 0 for all others."""


def _resolve(host: str) -> list[_Address]:
    """Return the addresses of a host, each once, in their order."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise StartupError(f"--host {host}: {getattr(exc, 'strerror', None) or exc}") from None
    unique: dict[_Address, None] = {}
    for family, _, _, _, address in found:
        unique[_Address(family, str(address[0]), _scope(address))] = None
    return list(unique)


def _scope(address: tuple[Any, ...]) -> int:
    return int(address[3]) if len(address) == 4 else 0


def _host_of(address: tuple[Any, ...]) -> str:
    """Return the host of a socket's address, as it stands in a URL; link-local with its zone."""
    host = str(address[0]).partition("%")[0]
    if scope := _scope(address):
        host += f"%{socket.if_indextoname(scope)}"
    return f"[{host}]" if ":" in host else host


def _bind_one(address: _Address, port: int) -> socket.socket | None:
    """Return a socket that listens; None if this machine does not have the address."""
    try:
        return _listen(address, port)
    except OSError as exc:
        if exc.errno in _IS_ABSENT:
            return None
        raise StartupError(_explain(exc, address.host, port)) from None


def _listen(address: _Address, port: int) -> socket.socket:
    one = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family is socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address.host, port, 0, address.scope))
        else:
            one.bind((address.host, port))
        # At once: until one of them listens, two servers can be bound to the same port.
        one.listen(BACKLOG)
        one.setblocking(False)
    except BaseException:
        one.close()
        raise
    return one


def _explain(exc: OSError, address: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {address} is taken by another program (a chat-server that runs "
            "already?); choose another one with --port"
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} on {address} needs more rights; choose one above 1023 with --port"
    return f"cannot listen on {address} port {port}: {exc.strerror}"


def hosts_of(listening: socket.socket) -> list[str]:
    """Return the hosts under which a listening socket is reached, as they stand in URLs.

    For `0.0.0.0` and `::` those are the addresses of this machine that others can use: the system
    tells them, nothing is sent. Loopback and link-local addresses count only if there is no other.
    """
    address = listening.getsockname()
    if not ip_address(address[0].partition("%")[0]).is_unspecified:
        return [_host_of(address)]
    found = map(ip_address, dict.fromkeys(_interface_addresses(listening.family)))
    usable = [one for one in found if not (one.is_loopback or one.is_link_local)]
    if not usable:
        usable = [ip_address("::1" if listening.family is socket.AF_INET6 else "127.0.0.1")]
    return [f"[{one}]" if one.version == 6 else str(one) for one in usable]


class _Interface(ctypes.Structure):
    """`struct ifaddrs`, as far as the address (getifaddrs(3))."""


_Interface._fields_ = [
    ("next", ctypes.POINTER(_Interface)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def _interface_addresses(family: int) -> Iterator[str]:
    if sys.platform == "win32":
        return
    system = ctypes.CDLL(None)
    first = ctypes.POINTER(_Interface)()
    if system.getifaddrs(ctypes.byref(first)) != 0:
        return
    try:
        at: Any = first
        while at:
            one = at.contents
            if one.address and one.flags & _IS_UP and _family_at(one.address) == family:
                start, size = (8, 16) if family == socket.AF_INET6 else (4, 4)
                yield socket.inet_ntop(family, ctypes.string_at(one.address + start, size))
            at = one.next
    finally:
        system.freeifaddrs(first)


def _family_at(place: int) -> int:
    """Read the family of a `struct sockaddr`; the BSDs, and so macOS, put its length before it."""
    head = ctypes.string_at(place, 2)
    return int.from_bytes(head, sys.byteorder) if sys.platform == "linux" else head[1]
