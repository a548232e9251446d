"""Values stored in the client's files, and errors of reading and writing them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chat.client.model.membership import FollowedThread, Mute
from chat.client.model.preferences import DEFAULT_PREFERENCE, Preference
from chat.client.model.state import Delivery, Message
from chat.errors import ChatError
from chat.rights import DEFAULT, ChannelSettings

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

    @property
    def is_failed(self) -> bool:
        """Whether the server has rejected the command, or the disk has refused it."""
        return self.state == "failed"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the command; not to be changed."""
        return _fields(self.command)

    @property
    def target(self) -> int | None:
        """The seq of the message that the command changes; None if it changes none."""
        target: int | None = self.fields.get("seq")
        return target

    @property
    def has_text(self) -> bool:
        """Whether the row contains text that the user typed."""
        return "text" in self.fields

    def line(self, me: str) -> Message | None:
        """Return the line of a message or of a failed edit; None for other rows."""
        fields = self.fields
        if fields["type"] != "send" and not (fields["type"] == "edit" and self.is_failed):
            return None
        return Message(
            channel=self.channel,
            seq=None,
            cid=self.cid,
            author=me,
            ts=self.ts,
            text=fields["text"],
            me=fields.get("me", False),
            reply_to=fields.get("reply_to"),
            thread_only=fields.get("thread_only", False),
            delivery=Delivery.FAILED if self.is_failed else Delivery.PENDING,
            reason=self.reason,
        )


@lru_cache(maxsize=1_024)
def _fields(command: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(command)
    return fields


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
    settings: ChannelSettings = DEFAULT
    mute: Mute | None = None
    threads: tuple[FollowedThread, ...] = ()
