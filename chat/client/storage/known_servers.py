"""Known servers: ids, addresses, last used name, and the window's list.

It lets the cache be shown, and the outbox be filled, before a connection tells the server's id.

It also guards what belongs to a server: token, outbox, positions, cache. An id is no secret, so
anybody may claim it. All of that is kept under a *key*, which stands for an id together with the
addresses that the person named for it. The key is the id itself; where a server at another address
shows the same id, it gets a key of its own, made of both, and so begins with nothing.
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

__all__ = ["DEFAULT_URL", "KnownServers", "host_of", "urls_of"]

DEFAULT_URL = "ws://127.0.0.1:3000"
"""Where one goes who has never said where."""

NEW_IDS_MAX = 20
"""Most ids that an address may show for the first time within a day: each leaves files behind."""
_DAY = 86_400
_PORTS = {"ws": 80, "wss": 443}
_writing = threading.RLock()
"""Held from reading the file to replacing it, by whichever core of this process changes it."""


@dataclass(slots=True)
class _Known:
    last_name: str | None = None
    chosen_url: str | None = None
    further: list[tuple[str, ...]] = field(default_factory=list)
    """Addresses, and names there, to go to as well."""
    ids: dict[str, str] = field(default_factory=dict)
    """The id last met at each address."""
    hosts: dict[str, list[str]] = field(default_factory=dict)
    """The hosts at which each id was met, as older clients noted them."""
    addresses: dict[str, list[str]] = field(default_factory=dict)
    """The addresses at which what is kept under each key may be shown."""
    new_ids: dict[str, list[int]] = field(default_factory=dict)
    """When an address showed an id for the first time, in seconds, within the last day."""


_KNOWN = record(
    _Known,
    last_name=optional(text),
    chosen_url=optional(text),
    further=list_of(tuple_of(text)),
    ids=table_of(text),
    hosts=table_of(list_of(text)),
    addresses=table_of(list_of(text)),
    new_ids=table_of(list_of(number)),
)


class KnownServers:
    """What `directory/servers.json` remembers; a missing or damaged file remembers nothing."""

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

    def key_at(self, urls: str) -> str | None:
        """Return the key of the server that was last met at one of the addresses `urls`."""
        known = self._read()
        for url in urls_of(urls):
            if url in known.ids:
                return _key_of(known, url, known.ids[url])
        return None

    def key_of(self, url: str, server: str) -> str:
        """Return the key of the server with the id `server` at `url`; it may be a new one."""
        return _key_of(self._read(), url, server)

    def others(self, url: str, server: str, named: str = "", *, every: bool = False) -> list[str]:
        """Return other keys of the id `server` whose secrets the person lets `url` have.

        Args:
            url: where the server is.
            server: the id that it shows.
            named: the addresses that the person named together, `url` among them.
            every: the person said that it is a server known from elsewhere.
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
        """Return the addresses at which the id `server` is known under another key."""
        known = self._read()
        own = _key_of(known, url, server)
        keys = _keys_of(known, server)
        return tuple(each for key, where in keys.items() if key != own for each in where)

    def show(self, key: str, url: str, server: str) -> bool:
        """Note that what is kept under `key` is shown at `url`.

        Returns:
            Whether it may be: not, if too many ids were new at `url` of late.
        """
        address, now = _address_of(url), int(time.time())
        with self._changing() as known:
            if key not in known.addresses and server not in known.hosts:
                recent = [each for each in known.new_ids.get(address, ()) if abs(now - each) < _DAY]
                if len(recent) >= NEW_IDS_MAX:
                    return False
                known.new_ids[address] = [*recent, now]
            _add(known, key, address, server)
        return True

    def remember(self, key: str, url: str, server: str) -> None:
        """Note that the server with the id `server` is the one at `url`, and let it have `key`."""
        address = _address_of(url)
        with self._changing() as known:
            known.ids[url] = server
            for other in _keys_of(known, server):
                if other != key and address in known.addresses.get(other, ()):
                    known.addresses[other].remove(address)
            _add(known, key, address, server)
            if key == server:
                hosts = known.hosts.setdefault(server, [])
                hosts += [host_of(url)] if host_of(url) not in hosts else []

    def remember_name(self, name: str) -> None:
        """Note that `name` is the one used last."""
        with self._changing() as known:
            known.last_name = name

    def choose(self, url: str) -> None:
        """Note that `url` is the server to go to."""
        with self._changing() as known:
            known.chosen_url = url

    @property
    def further(self) -> tuple[tuple[str, str], ...]:
        """The servers to go to beside the first: addresses, and one's names there."""
        return tuple((each[0], each[1]) for each in self._read().further if len(each) == 2)

    def add(self, url: str, name: str) -> None:
        """Note that one goes to the server at `url` as well, as `name`."""
        with self._changing() as known:
            if (url, name) not in known.further:
                known.further.append((url, name))

    def rename(self, url: str, name: str, other: str) -> None:
        """Note that one goes to `url` as `other` instead of `name`, if that is noted."""
        with self._changing() as known:
            if (url, name) in known.further:
                place = known.further.index((url, name))
                known.further[place] = (url, other)

    def remove(self, url: str, name: str) -> None:
        """Go to `url` as `name` no more; the next one may become the first."""
        with self._changing() as known:
            first = (known.chosen_url or DEFAULT_URL, known.last_name)
            if (url, name) in known.further:
                known.further.remove((url, name))
            elif first == (url, name) and known.further:
                known.chosen_url, known.last_name = known.further.pop(0)

    def _read(self) -> _Known:
        try:
            return _KNOWN(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, RecursionError):
            return _Known()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Known]:
        """Read what is known, and write it if it was changed."""
        with _writing:
            known = self._read()
            before = json.dumps(asdict(known))
            yield known
            if json.dumps(asdict(known)) != before:
                make_private_directory(self._path.parent)
                with contextlib.suppress(OSError):  # a convenience that is lost; no text is
                    write_private(self._path, json.dumps(asdict(known), indent=1) + "\n")


def urls_of(urls: str) -> list[str]:
    """Return the addresses of one server, which stand with commas between them."""
    return urls.split(",")


def host_of(url: str) -> str:
    """Return the host of `url`; all names of this machine's loopback are one."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        number = ipaddress.ip_address(host)
        mapped = getattr(number, "ipv4_mapped", None) or number
        return "localhost" if mapped.is_loopback else str(mapped)
    return "localhost" if host == "localhost." else host


def _address_of(url: str) -> str:
    """Return `url` in the one spelling that all equal addresses share."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    host = host_of(url)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}"


def _is_upgrade(known: str, url: str) -> bool:
    """Whether `url` is the host of the address `known`, by TLS where there was none.

    Its port is the same, or that of HTTPS: a certificate is of a host, and on other ports of it
    somebody else may listen.
    """
    was, now = urlsplit(known), urlsplit(_address_of(url))
    return (
        (was.scheme, now.scheme) == ("ws", "wss")
        and (was.hostname, was.path) == (now.hostname, now.path)
        and now.port in (was.port, _PORTS["wss"])
    )


def _keys_of(known: _Known, server: str) -> dict[str, list[str]]:
    """Return the keys under which an id is known, with their addresses."""
    keys = {
        key: addresses
        for key, addresses in known.addresses.items()
        if key == server or key.startswith(f"{server} ")  # an id has no blank
    }
    if server not in keys and server in known.hosts:  # an older client met it
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
        if address in addresses or host_of(url) in addresses:  # of an older client: the host
            return key
    return f"{server} {address}" if server in keys else server
