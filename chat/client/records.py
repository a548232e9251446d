"""What the client's file holds, as values, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from chat.client.preferences import NOTHING, USUAL, Preference, Wish
from chat.errors import ChatError

__all__ = ["ChannelRecord", "Damaged", "DiskTrouble", "OutboxRow"]


class DiskTrouble(ChatError):
    """The file does not take writes now; nothing was changed."""


class Damaged(DiskTrouble):
    """The file is broken, or it is not there any more: begin it anew."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """What a person typed and the server has not confirmed.

    `command` is the command's JSON without its id; `state` is `pending` or `failed`.
    """

    cid: str
    channel: str
    command: str
    ts: int
    state: str = "pending"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChannelRecord:
    """A channel as it was left: where its log was read to, and what the sidebar shows."""

    name: str
    epoch: str
    position: int
    mid: str | None
    spans: tuple[tuple[int, int], ...]
    topic: str
    role: str
    read: int
    unread: int
    mentions: int
    marked: int
    generation: int = 0
    preference: Preference = USUAL
    wish: Wish = NOTHING
    pins: tuple[int, ...] = ()
