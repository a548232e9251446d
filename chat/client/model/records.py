"""Values stored in the client's files, and errors of reading and writing them."""

from __future__ import annotations

from dataclasses import dataclass

from chat.client.model.preferences import DEFAULT_PREFERENCE, Preference
from chat.errors import ChatError

__all__ = ["ChannelRecord", "DamagedFile", "DiskError", "OutboxRow"]


class DiskError(ChatError):
    """The file is not accepting writes; nothing was changed."""


class DamagedFile(DiskError):
    """The file is damaged or missing and must be replaced."""


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
    """A channel as stored on disk; `marked` is the read marker that the server has."""

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
    preference: Preference = DEFAULT_PREFERENCE
    pins: tuple[int, ...] = ()
