"""The cores of all servers: made, started and stopped here; and which are to be there next time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

from chat.client.config import ClientSettings, load, with_kept
from chat.client.places import Places
from chat.client.presenter.port import CorePort
from chat.errors import StartupError
from chat.text import fold

__all__ = ["Cores"]


class Cores:
    """One core for each server; the first is always there.

    Args:
        settings: with a name, and with all servers.
        make: makes the core of one server.
    """

    def __init__(
        self, settings: ClientSettings, make: Callable[[ClientSettings], CorePort]
    ) -> None:
        self.faults: list[str] = []
        """Why some did not start, for a person."""
        self._settings = settings
        self._make = make
        self._cores = [(each, make(each)) for each in settings.for_each_server()]
        self._leaving: list[CorePort] = []

    def __iter__(self) -> Iterator[tuple[ClientSettings, CorePort]]:
        return iter(list(self._cores))

    @property
    def first(self) -> CorePort:
        """The one that keeps what belongs to no server."""
        return self._cores[0][1]

    def save_pref(self, key: str, value: str) -> None:
        """Keep something that belongs to no server."""
        self.first.save_pref(key, value)

    def pref(self, key: str) -> str:
        """Return what `save_pref` kept."""
        return self.first.pref(key)

    def open(self) -> None:
        """Let all read what is on disk; those that cannot are left out.

        Raises:
            StartupError: none can.
        """
        for settings, core in self:
            try:
                core.open()
            except StartupError as exc:
                if len(self._cores) == 1:
                    raise
                self._cores.remove((settings, core))
                self.faults.append(f"{settings.url}: {exc}")

    def start(self) -> None:
        """Let all connect."""
        for _, core in self:
            core.start()

    def stop(self, within: float) -> None:
        """Stop all, also those that were removed, within so many seconds together."""
        until = monotonic() + within
        leaving = [*self._leaving, *(core for _, core in self._cores)]
        for core in leaving:
            core.stop(0.0)  # they end side by side
        for core in leaving:
            core.stop(max(until - monotonic(), 0.0))

    def unsaved(self) -> list[str]:
        """Return the texts of all that no disk has taken; to be asked after `stop`."""
        cores = [*self._leaving, *(core for _, core in self._cores)]
        return [text for core in cores for text in core.unsaved()]

    def unsent(self) -> int:
        """Return how much waits in the outboxes on disk; to be asked after `stop`."""
        return sum(core.unsent() for _, core in self._cores)

    def add(self, url: str, name: str) -> tuple[ClientSettings, CorePort]:
        """Start one more, and remember it for the next time.

        Raises:
            StartupError: it cannot start.
        """
        settings = self._settings.but(
            url=url, name=name, servers=(), token_file=None, same_server=False
        )
        core = self._make(settings)
        core.start()
        self._cores.append((settings, core))
        self._places.servers.add(url, name)
        return settings, core

    def renamed(self, settings: ClientSettings, name: str) -> ClientSettings:
        """Note that one has another name now, also for the next time; return its settings."""
        renamed = settings.but(name=name, token_file=None)
        self._cores = [(renamed if each is settings else each, core) for each, core in self._cores]
        first = self._settings
        if (settings.url, settings.name) == (first.url, first.name):
            self._settings = first.but(name=name)
            self._places.servers.remember_name(name)
        else:
            self._places.servers.rename(settings.url, settings.name, name)
        return renamed

    def remove(self, settings: ClientSettings) -> bool:
        """Stop one, and forget it; whether it will be absent the next time, too."""
        for each, core in self:
            if each is settings:
                self._cores.remove((each, core))
                core.stop(0.0)
                self._leaving.append(core)
        self._places.servers.remove(settings.url, settings.name)
        next_time = with_kept(load({"data": self._settings.data})).for_each_server()
        return all(
            (each.url, fold(each.name)) != (settings.url, fold(settings.name)) for each in next_time
        )

    @property
    def _places(self) -> Places:
        return Places(self._settings.data)
