"""Known servers: ids, addresses, last used names, and added servers.

With it, the cache can be shown and the outbox filled before the server has sent its id.

It also protects what belongs to a server: token, outbox, positions, cache. An id is not secret, so
any server may claim it. Therefore everything is stored under a *key*: an id together with the
addresses that the user named for it. The key is the id itself; a server that shows a known id at
another address gets a key made of both, and so starts with nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from chat.client.storage.json_values import (
    list_of,
    number,
    optional,
    record,
    table_of,
    text,
    tuple_of,
)
from chat.client.storage.private_files import make_private_directory, write_private
from chat.text import fold

__all__ = ["DEFAULT_URL", "KnownServers", "host_of", "urls_of"]

DEFAULT_URL = "ws://127.0.0.1:3000"
"""The address of the server if the user has not chosen one."""

_USES_MAX = 20
"""Maximum number of remembered pairs of an address and a name."""
NEW_IDS_MAX = 20
"""Maximum number of new ids per address and day: each one leaves files behind."""
_DAY = 86_400
_PORTS = {"ws": 80, "wss": 443}
_writing = threading.RLock()
"""Held while a core of this process reads, changes and replaces the file."""


@dataclass(slots=True)
class _Known:
    last_name: str | None = None
    chosen_url: str | None = None
    uses: list[tuple[str, ...]] = field(default_factory=list)
    """Addresses and the names used there, the last use first."""
    further: list[tuple[str, ...]] = field(default_factory=list)
    """Addresses of added servers, and the names to use there."""
    ids: dict[str, str] = field(default_factory=dict)
    """The last known id at each address."""
    hosts: dict[str, list[str]] = field(default_factory=dict)
    """The hosts of each id, as written by older clients."""
    addresses: dict[str, list[str]] = field(default_factory=dict)
    """The addresses that may use each key."""
    new_ids: dict[str, list[int]] = field(default_factory=dict)
    """When an address showed a new id, in seconds, within the last day."""


_KNOWN = record(
    _Known,
    last_name=optional(text),
    chosen_url=optional(text),
    uses=list_of(tuple_of(text)),
    further=list_of(tuple_of(text)),
    ids=table_of(text),
    hosts=table_of(list_of(text)),
    addresses=table_of(list_of(text)),
    new_ids=table_of(list_of(number)),
)


class KnownServers:
    """The content of `directory/servers.json`; a missing or damaged file counts as empty."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "servers.json"

    @property
    def last_name(self) -> str | None:
        """The name that was used last."""
        return self._read().last_name

    @property
    def chosen_url(self) -> str | None:
        """The address that was chosen at the first run."""
        return self._read().chosen_url

    def last_use(self, url: str = "", name: str = "") -> tuple[str, str] | None:
        """Return address and name of the last start with this address and this name.

        An empty one matches any; None: there was no such start.
        """
        for each in self._read().uses:
            if len(each) == 2 and url in ("", each[0]) and fold(name) in ("", fold(each[1])):
                return each[0], each[1]
        return None

    def key_at(self, urls: str) -> str | None:
        """Return the key of the last server at one of the addresses `urls`."""
        known = self._read()
        for url in urls_of(urls):
            if url in known.ids:
                return _key_of(known, url, known.ids[url])
        return None

    def key_of(self, url: str, server: str) -> str:
        """Return the key of the server with the id `server` at `url`; it may be a new one."""
        return _key_of(self._read(), url, server)

    def others(self, url: str, server: str, named: str = "", *, every: bool = False) -> list[str]:
        """Return other keys of the id `server` whose tokens the user allows `url` to get.

        Args:
            url: the server's address.
            server: the id that it sends.
            named: the addresses that the user named together, `url` among them.
            every: whether the user declared it to be a known server (`--same-server`).
        """
        known = self._read()
        own = _key_of(known, url, server)
        together = {_address_of(each) for each in urls_of(named)}
        return [
            key
            for key, addresses in _keys_of(known, server).items()
            if key != own
            and (
                every
                or not together.isdisjoint(addresses)
                or any(_is_upgrade(each, url) for each in addresses)
            )
        ]

    def known_elsewhere(self, url: str, server: str) -> tuple[str, ...]:
        """Return the addresses at which the id `server` has another key."""
        known = self._read()
        own = _key_of(known, url, server)
        keys = _keys_of(known, server)
        return tuple(each for key, where in keys.items() if key != own for each in where)

    def show(self, key: str, url: str, server: str) -> bool:
        """Record that `url` uses `key`.

        Returns:
            False if `url` has shown too many new ids within a day.
        """
        address, now = _address_of(url), int(time.time())
        with self._editing() as known:
            if key not in known.addresses and server not in known.hosts:
                recent = [each for each in known.new_ids.get(address, ()) if abs(now - each) < _DAY]
                if len(recent) >= NEW_IDS_MAX:
                    return False
                known.new_ids[address] = [*recent, now]
            _add(known, key, address, server)
        return True

    def remember(self, key: str, url: str, server: str) -> None:
        """Record that the server with the id `server` answers at `url` and uses `key`."""
        address = _address_of(url)
        with self._editing() as known:
            known.ids[url] = server
            for other in _keys_of(known, server):
                if other != key and address in known.addresses.get(other, ()):
                    known.addresses[other].remove(address)
            _add(known, key, address, server)
            if key == server:
                hosts = known.hosts.setdefault(server, [])
                hosts += [host_of(url)] if host_of(url) not in hosts else []

    def remember_use(self, url: str, name: str) -> None:
        """Set the server and the name that were used last."""
        with self._editing() as known:
            known.last_name = name
            others = [each for each in known.uses if each != (url, name)]
            known.uses = [(url, name), *others][:_USES_MAX]

    def choose(self, url: str) -> None:
        """Set the chosen server."""
        with self._editing() as known:
            known.chosen_url = url

    @property
    def further(self) -> tuple[tuple[str, str], ...]:
        """The added servers: addresses and names."""
        return tuple((each[0], each[1]) for each in self._read().further if len(each) == 2)

    def add(self, url: str, name: str) -> None:
        """Add the server at `url` with `name`."""
        with self._editing() as known:
            if (url, name) not in known.further:
                known.further.append((url, name))

    def rename(self, url: str, name: str, other: str) -> None:
        """Change the name for an added server."""
        with self._editing() as known:
            if (url, name) in known.further:
                index = known.further.index((url, name))
                known.further[index] = (url, other)

    def remove(self, url: str, name: str) -> None:
        """Remove a server; if it was the first one, the next one becomes the first."""
        with self._editing() as known:
            chosen = (known.chosen_url or DEFAULT_URL, known.last_name)
            first = known.uses[0] if known.uses else chosen
            known.uses = [each for each in known.uses if each != (url, name)]
            if (url, name) in known.further:
                known.further.remove((url, name))
            elif first == (url, name) and known.further:
                known.chosen_url, known.last_name = following = known.further.pop(0)
                known.uses.insert(0, following)

    def _read(self) -> _Known:
        try:
            return _KNOWN(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, RecursionError):
            return _Known()

    @contextlib.contextmanager
    def _editing(self) -> Iterator[_Known]:
        """Yield the content, and write it if it was changed."""
        with _writing:
            known = self._read()
            before = json.dumps(asdict(known))
            yield known
            if json.dumps(asdict(known)) != before:
                make_private_directory(self._path.parent)
                with contextlib.suppress(OSError):  # losing it is only inconvenient
                    write_private(self._path, json.dumps(asdict(known), indent=1) + "\n")


def urls_of(urls: str) -> list[str]:
    """Return the addresses of one server, given separated by commas."""
    return urls.split(",")


def host_of(url: str) -> str:
    """Return the host of `url`; all loopback names and addresses are `localhost`."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        number = ipaddress.ip_address(host)
        mapped = getattr(number, "ipv4_mapped", None) or number
        return "localhost" if mapped.is_loopback else str(mapped)
    return "localhost" if host == "localhost." else host


def _address_of(url: str) -> str:
    """Return `url` in a canonical spelling."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    host = host_of(url)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}"


def _is_upgrade(known: str, url: str) -> bool:
    """Whether `url` is the address `known` with TLS added.

    The port must be the same or the one of HTTPS: a certificate covers the whole host, and
    someone else may listen on its other ports.
    """
    was, now = urlsplit(known), urlsplit(_address_of(url))
    return (
        (was.scheme, now.scheme) == ("ws", "wss")
        and (was.hostname, was.path) == (now.hostname, now.path)
        and now.port in (was.port, _PORTS["wss"])
    )


def _keys_of(known: _Known, server: str) -> dict[str, list[str]]:
    """Return the keys of an id, with their addresses."""
    keys = {
        key: addresses
        for key, addresses in known.addresses.items()
        if key == server or key.startswith(f"{server} ")  # an id contains no space
    }
    if server not in keys and server in known.hosts:  # written by an older client
        met = [_address_of(url) for url, each in known.ids.items() if each == server]
        keys[server] = list(dict.fromkeys(met)) or list(known.hosts[server])
    return keys


def _add(known: _Known, key: str, address: str, server: str) -> None:
    before = _keys_of(known, server).get(key, [])
    addresses = known.addresses.setdefault(key, [each for each in before if "://" in each])
    if address not in addresses:
        addresses.append(address)


def _key_of(known: _Known, url: str, server: str) -> str:
    address = _address_of(url)
    keys = _keys_of(known, server)
    for key, addresses in keys.items():
        if address in addresses or host_of(url) in addresses:  # older clients stored only the host
            return key
    return f"{server} {address}" if server in keys else server
