"""The addresses of this machine's network interfaces."""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["addresses"]

_IFF_UP = 1
"""The flag of an active interface (netdevice(7))."""


class _Interface(ctypes.Structure):
    """The first fields of `struct ifaddrs` (getifaddrs(3))."""


_Interface._fields_ = [
    ("next", ctypes.POINTER(_Interface)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def addresses(family: int) -> Iterator[str]:
    """Yield the addresses of the active interfaces (getifaddrs(3)); none on Windows."""
    if sys.platform == "win32":
        return
    libc = ctypes.CDLL(None)
    first = ctypes.POINTER(_Interface)()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        return
    try:
        pointer: Any = first
        while pointer:
            interface = pointer.contents
            address = interface.address
            if address and interface.flags & _IFF_UP and _family_at(address) == family:
                start, size = (8, 16) if family == socket.AF_INET6 else (4, 4)
                yield socket.inet_ntop(family, ctypes.string_at(address + start, size))
            pointer = interface.next
    finally:
        libc.freeifaddrs(first)


def _family_at(pointer: int) -> int:
    """Read the family of a `struct sockaddr`; on BSD and macOS, a length byte comes before it."""
    head = ctypes.string_at(pointer, 2)
    return int.from_bytes(head, sys.byteorder) if sys.platform == "linux" else head[1]
