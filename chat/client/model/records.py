"""Values stored in the client's files, and the errors of reading them."""

from __future__ import annotations

from dataclasses import dataclass

from chat.client.model.preferences import USUAL, Preference
from chat.errors import ChatError

__all__ = ["ChannelRecord", "Damaged", "DiskTrouble", "OutboxRow"]


class DiskTrouble(ChatError):
    """The file does not take writes now; nothing was changed."""


class Damaged(DiskTrouble):
    """The file is damaged or missing: start a new one."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A command that the server has not confirmed.

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
    preference: Preference = USUAL
    pins: tuple[int, ...] = ()
