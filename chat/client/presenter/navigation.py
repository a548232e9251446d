"""Keys of channels and panes, the order of the sidebar, and moving between channels."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chat.client.model.membership import Invitation
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
    """A channel (empty: none yet) of the server with that key."""

    server: int
    channel: str


NOWHERE = Location(0, "")
"""The location before any channel is open."""


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
    """One server in the sidebar: title, connection, channels, invitations to other channels."""

    server: int
    title: str
    link: Link
    channels: tuple[ChannelInfo, ...]
    invitations: tuple[Invitation, ...] = ()


class Entry(NamedTuple):
    """A channel in the list of all servers' channels."""

    location: Location
    info: ChannelInfo


def entries(groups: Iterable[Group]) -> list[Entry]:
    """Return the channels of all servers in sidebar order."""
    return [
        Entry(Location(group.server, info.name), info)
        for group in groups
        for info in group.channels
    ]


def neighbor(listed: Sequence[Entry], here: Location, step: int) -> Location | None:
    """Return the location `step` entries further, wrapping around."""
    locations = [entry.location for entry in listed]
    if not locations:
        return None
    if here not in locations:
        return locations[0]
    return locations[(locations.index(here) + step) % len(locations)]


def after(listed: Sequence[Entry], here: Location) -> list[Entry]:
    """Return the other entries in circular order, from the one after `here`."""
    at = next((i for i, entry in enumerate(listed) if entry.location == here), -1)
    return [*listed[at + 1 :], *listed[: max(at, 0)]]


def waits(info: ChannelInfo) -> bool:
    """Whether the channel or a followed thread has unread messages; if it is muted, mentions."""
    if info.muted:
        return info.mentions > 0 or any(thread.mentions for thread in info.threads)
    return info.unread > 0 or info.mentions > 0 or info.unread_replies > 0


def weight(info: ChannelInfo) -> int:
    """Return the urgency: 2 for a mention, 1 for a direct message or a reply, else 0."""
    if info.mentions or any(thread.mentions for thread in info.threads):
        return 2
    return 1 if is_direct(info.name) or info.threads else 0


class Tour:
    """A tour of the unread channels that returns to its start."""

    def __init__(self) -> None:
        self._origin: Location | None = None

    def end(self) -> None:
        """End the tour: the user opened another channel."""
        self._origin = None

    def next(self, listed: Sequence[Entry], here: Location) -> Location | None:
        """Return the most urgent unread channel, or else the start of the tour.

        None if nothing is unread and the tour is back at its start.
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
    """Back and forward as in a browser: opening a new channel drops the forward part."""

    def __init__(self) -> None:
        self._stops: list[Location] = []
        self._at = -1

    def came_to(self, location: Location) -> None:
        """Add the location that was opened; a step along the trail adds nothing."""
        if self._stops and self._stops[self._at] == location:
            return
        self._stops = [*self._stops[: self._at + 1], location][-_MOST:]
        self._at = len(self._stops) - 1

    def recent(self) -> list[Location]:
        """Return the visited locations, latest first, without duplicates."""
        return list(dict.fromkeys(reversed(self._stops)))

    def step(self, step: int, known: Container[Location]) -> Location | None:
        """Go back (-1) or forward (1) to the next location in `known`, or return None."""
        here, at = self._stops[self._at] if self._stops else None, self._at + step
        while 0 <= at < len(self._stops):
            if self._stops[at] in known and self._stops[at] != here:
                self._at = at
                return self._stops[at]
            at += step
        return None
