"""What is read from the store: values, each as of the snapshot it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from chat.protocol.items import Item
from chat.store.ops import ChannelState, Preference

__all__ = ["MemberRow", "PageRead", "Resumed", "Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """A person's place in a channel: its state, their role, and what they have not read."""

    channel: ChannelState
    role: str
    read: int
    unread: int
    mentions: int
    preference: Preference
    pins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page of a log, and the channel as of the same snapshot."""

    channel: ChannelState
    items: tuple[Item, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a returning follower gets; see `protocol.frames.Joined`."""

    seat: Seat
    recovered: bool
    items: tuple[Item, ...]
    complete: bool


class MemberRow(NamedTuple):
    """A member of a channel (a tuple, for a hundred come with every `joined`)."""

    name: str
    role: str
