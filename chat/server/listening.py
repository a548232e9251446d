"""Listening sockets: all addresses on one port, or one clear line that says why not.

And how many connections the system lets this process have.
"""

from __future__ import annotations

import errno
import socket
import sys

from chat.errors import StartupError

if sys.platform != "win32":
    import resource

__all__ = ["BACKLOG", "bind", "open_files"]

BACKLOG = 4_096
"""Connections that may wait to be accepted, as when everybody returns at once."""
FILES_MAX = 1_048_576
"""Open files we ask for where the system sets no bound."""
_IS_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


def bind(hosts: list[str], port: int) -> list[socket.socket]:
    """Bind every address of `hosts` to the same port; 0 picks one that is free on the first.

    An address that this machine does not have is passed over if another one is left: a machine
    without IPv6 still serves 127.0.0.1.

    Raises:
        StartupError: the port is taken, or no address can be used.
    """
    bound: list[socket.socket] = []
    absent: list[str] = []
    try:
        for family, address in _resolve(hosts):
            try:
                one = _bind_one(family, (address, port))
            except OSError as exc:
                if exc.errno not in _IS_ABSENT:
                    raise StartupError(_explain(exc, address, port)) from None
                absent.append(address)
                continue
            bound.append(one)
            port = one.getsockname()[1]
        if not bound:
            raise StartupError(f"this machine has none of the addresses {', '.join(absent)}")
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


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


def _resolve(hosts: list[str]) -> list[tuple[socket.AddressFamily, str]]:
    """Return the addresses of all hosts, each once, in their order."""
    unique: dict[tuple[socket.AddressFamily, str], None] = {}
    for host in hosts:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as exc:
            raise StartupError(f"--host {host}: {exc.strerror or exc}") from None
        unique |= {(family, str(address[0])): None for family, _, _, _, address in found}
    return list(unique)


def _bind_one(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
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
