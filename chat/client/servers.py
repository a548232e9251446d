"""Which server was behind which address, which name was used last, where else one is: a small file.

It lets the cache be shown, and the outbox be filled, before a connection tells the server's id.
It also guards the tokens: an id is no secret, so a stranger may claim it; a token goes only to a
host where this id was met before, unless the person says that the server has moved.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from chat.client.private import make_private_directory, write_private
from chat.client.shapes import list_of, optional, record, table_of, text, tuple_of

__all__ = ["KnownServers"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(slots=True)
class _Known:
    last_name: str | None = None
    chosen_url: str | None = None
    further: list[tuple[str, ...]] = field(default_factory=list)
    """Addresses, and names there, to go to as well."""
    ids: dict[str, str] = field(default_factory=dict)
    """The id last met at each address."""
    hosts: dict[str, list[str]] = field(default_factory=dict)
    """The hosts at which each id was met."""


_KNOWN = record(
    _Known,
    last_name=optional(text),
    chosen_url=optional(text),
    further=list_of(tuple_of(text)),
    ids=table_of(text),
    hosts=table_of(list_of(text)),
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

    def id_at(self, url: str) -> str | None:
        """Return the id of the server that was last met at `url`."""
        return self._read().ids.get(url)

    def is_stranger(self, url: str, server: str) -> bool:
        """Whether `server` is known, but from other hosts than that of `url`."""
        hosts = self._read().hosts.get(server)
        return bool(hosts) and host_of(url) not in (hosts or ())

    def hosts_of(self, server: str) -> tuple[str, ...]:
        """Return the hosts at which `server` was met."""
        return tuple(self._read().hosts.get(server, ()))

    def remember(self, url: str, server: str) -> None:
        """Note that `server` was met at `url`."""
        known = self._read()
        hosts = known.hosts.setdefault(server, [])
        if known.ids.get(url) == server and host_of(url) in hosts:
            return
        known.ids[url] = server
        if host_of(url) not in hosts:
            hosts.append(host_of(url))
        self._write(known)

    def remember_name(self, name: str) -> None:
        """Note that `name` is the one used last."""
        known = self._read()
        if known.last_name != name:
            known.last_name = name
            self._write(known)

    def choose(self, url: str) -> None:
        """Note that `url` is the server to go to."""
        self._write(replace(self._read(), chosen_url=url))

    @property
    def further(self) -> tuple[tuple[str, str], ...]:
        """The servers to go to beside the first: addresses, and one's names there."""
        return tuple((each[0], each[1]) for each in self._read().further if len(each) == 2)

    def add(self, url: str, name: str) -> None:
        """Note that one goes to the server at `url` as well, as `name`."""
        known = self._read()
        if (url, name) not in known.further:
            known.further.append((url, name))
            self._write(known)

    def remove(self, url: str, name: str) -> bool:
        """Go to `url` as `name` no more; the next one may become the first.

        Returns:
            Whether it was remembered here; else it is named elsewhere, and stays.
        """
        known = self._read()
        if (url, name) in known.further:
            known.further.remove((url, name))
        elif (known.chosen_url, known.last_name) == (url, name) and known.further:
            known.chosen_url, known.last_name = known.further.pop(0)
        else:
            return False
        self._write(known)
        return True

    def _read(self) -> _Known:
        try:
            return _KNOWN(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, RecursionError):
            return _Known()

    def _write(self, known: _Known) -> None:
        make_private_directory(self._path.parent)
        with contextlib.suppress(OSError):  # a convenience that is lost; nothing typed is
            write_private(self._path, json.dumps(asdict(known), indent=1) + "\n")


def host_of(url: str) -> str:
    """Return the host of `url`; all names of this machine's loopback are one."""
    host = urlsplit(url).hostname or ""
    return "localhost" if host in _LOOPBACK or host.startswith("127.") else host
