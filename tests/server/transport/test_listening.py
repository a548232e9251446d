"""Listening sockets: addresses, ports, and what cannot be bound."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from chat.errors import StartupError
from chat.server.transport.listening import bind, reachable_hosts


def test_second_bind_of_a_port_fails() -> None:
    (first,) = bind(["127.0.0.1"], 0)
    with first, pytest.raises(StartupError, match="it is already in use"):
        bind(["127.0.0.1"], first.getsockname()[1])


def test_repeated_address_is_bound_once() -> None:
    (only,) = bind(["127.0.0.1", "127.0.0.1"], 0)
    only.close()


def test_ipv6_address_in_brackets_is_accepted() -> None:
    (only,) = bind(["[::1]"], 0)
    with only:
        assert reachable_hosts(only) == ["[::1]"]


def test_address_that_the_machine_does_not_have_stops_the_start() -> None:
    with pytest.raises(StartupError, match=r"does not have the address 203\.0\.113\.9"):
        bind(["127.0.0.1", "203.0.113.9"], 0)


def link_local() -> str | None:
    """Return a link-local address of this machine with its zone, as Linux lists them."""
    for line in _lines(Path("/proc/net/if_inet6")):
        digits, _index, _length, scope, _flags, name = line.split()
        if scope == "20":
            return f"{ip_address(bytes.fromhex(digits))}%{name}"
    return None


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.skipif(link_local() is None, reason="no link-local address here")
def test_link_local_address_keeps_its_zone() -> None:
    address = link_local()
    assert address is not None
    (only,) = bind([address], 0)
    with only:
        assert reachable_hosts(only) == [f"[{address}]"]
        place = socket.getaddrinfo(address, only.getsockname()[1], type=socket.SOCK_STREAM)[0][4]
        with socket.socket(socket.AF_INET6) as peer:
            peer.connect(place)


def test_wildcard_address_is_reported_as_reachable_addresses() -> None:
    (only,) = bind(["0.0.0.0"], 0)
    with only:
        hosts = reachable_hosts(only)
        assert hosts
        assert "0.0.0.0" not in hosts
        for host in hosts:
            with socket.create_connection((host, only.getsockname()[1]), 5):
                pass
