"""Keys of channels and panes, the order of the sidebar, and moving between channels."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chat.client.model.state import ChannelInfo, Link
from chat.text import is_direct

__all__ = [
    "NOWHERE",
    "Entry",
    "Group",
    "Location",
    "PaneKey",
    "Tour",
    "Trail",
    "after",
    "entries",
    "neighbor",
    "waits",
    "weight",
]


class Location(NamedTuple):
    """A channel (empty: none yet) of the server that sits at `server`."""

    server: int
    channel: str


NOWHERE = Location(0, "")
"""Where one is before there is any channel."""


class PaneKey(NamedTuple):
    """A pane's conversation: a channel (empty: none yet), or a thread of it.

    `str(key)` is the name under which its draft is saved; channel names contain no slash.
    """

    channel: str
    thread: int | None = None
    """Number of the thread's first message; None for the channel itself."""

    def __str__(self) -> str:
        return self.channel if self.thread is None else f"{self.channel}/{self.thread}"


@dataclass(frozen=True, slots=True)
class Group:
    """What the lists show of one server: how it is called, its connection, its channels."""

    server: int
    title: str
    link: Link
    channels: tuple[ChannelInfo, ...]


class Entry(NamedTuple):
    """An entry of the list of all: a channel, and what is known of it."""

    location: Location
    info: ChannelInfo


def entries(groups: Iterable[Group]) -> list[Entry]:
    """Return all channels in the order in which they are listed."""
    return [
        Entry(Location(group.server, info.name), info)
        for group in groups
        for info in group.channels
    ]


def neighbor(listed: Sequence[Entry], here: Location, step: int) -> Location | None:
    """Return the location `step` places further in the list, round its end."""
    locations = [entry.location for entry in listed]
    if not locations:
        return None
    if here not in locations:
        return locations[0]
    return locations[(locations.index(here) + step) % len(locations)]


def after(listed: Sequence[Entry], here: Location) -> list[Entry]:
    """Return the other entries, beginning with that after this one."""
    at = next((i for i, entry in enumerate(listed) if entry.location == here), -1)
    return [*listed[at + 1 :], *listed[: max(at, 0)]]


def waits(info: ChannelInfo) -> bool:
    """Whether something unread is to be brought to one's notice; muted ones want only mentions."""
    return info.mentions > 0 or (info.unread > 0 and not info.muted)


def weight(info: ChannelInfo) -> int:
    """Return how much unread lines of a channel matter: a mention, a direct message, a message."""
    if info.mentions:
        return 2
    return 1 if is_direct(info.name) else 0


class Tour:
    """A round of what is unread, which ends where it began."""

    def __init__(self) -> None:
        self._origin: Location | None = None

    def end(self) -> None:
        """Forget where it began: one has gone elsewhere by oneself."""
        self._origin = None

    def next(self, listed: Sequence[Entry], here: Location) -> Location | None:
        """Return where to go next: a mention, a direct message, a message; then where one began.

        None once nothing is left to read and one is where one began.
        """
        others = after(listed, here)
        waiting = [entry for entry in others if waits(entry.info)]
        if waiting:
            if self._origin is None:
                self._origin = here
            return max(waiting, key=lambda entry: weight(entry.info)).location
        origin, self._origin = self._origin, None
        return origin if any(entry.location == origin for entry in others) else None


_MOST = 100


class Trail:
    """Back and forward as in a browser: going somewhere new forgets what lay ahead."""

    def __init__(self) -> None:
        self._stops: list[Location] = []
        self._at = -1

    def came_to(self, location: Location) -> None:
        """Note where one is now; a step along the trail is none of its own."""
        if self._stops and self._stops[self._at] == location:
            return
        self._stops = [*self._stops[: self._at + 1], location][-_MOST:]
        self._at = len(self._stops) - 1

    def recent(self) -> list[Location]:
        """Return where one was, the last stop first, each once."""
        return list(dict.fromkeys(reversed(self._stops)))

    def step(self, step: int, known: Container[Location]) -> Location | None:
        """Go back (-1) or forward (1) to the next stop that is still there; None: there is none."""
        here, at = self._stops[self._at] if self._stops else None, self._at + step
        while 0 <= at < len(self._stops):
            if self._stops[at] in known and self._stops[at] != here:
                self._at = at
                return self._stops[at]
            at += step
        return None
