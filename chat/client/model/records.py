"""Values stored in the client's file, and the errors of reading them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chat.client.model.preferences import NOTHING, USUAL, Preference, Wish
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
    generation: int = 0
    preference: Preference = USUAL
    wish: Wish = NOTHING
    pins: tuple[int, ...] = ()
    is_merged: bool = field(default=False, compare=False)
    """Whether the client that wrote it kept other clients' wishes; older ones write over them."""

    def merged(self, base: ChannelRecord | None, stored: ChannelRecord) -> ChannelRecord:
        """Return this record with what another client on the file did since `base`.

        Wishes of both stand. Within one log the further read marker stands, with its counts. A log
        that the other client has begun anew, or knows and this one does not, stays as stored.

        Args:
            base: as this client last read or wrote it; None: it never did.
            stored: as the other client wrote it.
        """
        if stored.is_merged:
            before = (base.wish, base.preference) if base is not None else (NOTHING, USUAL)
            wish = self.wish.merged(before[0], stored.wish)
            is_told = self.preference != before[1]  # by the server, since
            preference = self.preference if is_told else stored.preference
        else:
            wish, preference = stored.wish.and_then(self.wish), self.preference
        if stored.generation != self.generation or (stored.epoch and not self.epoch):
            return replace(stored, wish=wish, preference=preference)
        mine = replace(self, wish=wish, preference=preference)
        if stored.epoch == self.epoch and stored.read > self.read:
            counts = stored.unread, stored.mentions
            mine = replace(mine, read=stored.read, unread=counts[0], mentions=counts[1])
        return mine
