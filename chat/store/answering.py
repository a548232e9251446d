"""What a message may answer, which thread it then belongs to, and whom it thereby addresses.

A thread is a root and everything that answers it, directly or by answering an answer. It is found
once, when a message is appended: whatever becomes of the messages later, they stay in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from chat.errors import CommandError
from chat.store.ops import Append, User
from chat.store.prepared import Among
from chat.store.roster import Channel, Roster
from chat.store.schema import events, users

__all__ = ["Answerable", "Answering"]

_ANSWERABLE = Among(
    select(
        events.c.seq,
        func.coalesce(events.c.thread, events.c.seq),
        events.c.author_id,
        users.c.name,
    )
    .join_from(events, users, events.c.author_id == users.c.id)
    .where(events.c.channel_id == bindparam("channel"), events.c.kind == "message"),
    events.c.seq,
)


class Answerable(NamedTuple):
    """A message, deleted or not: who answers it comes into the thread of `root`."""

    root: int
    author: User


class Answering:
    """The messages that the running transaction appended, or that its appends answer."""

    connection: Connection

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Answerable | None] = {}

    def begin(self, connection: Connection, roster: Roster, appends: Iterable[Append]) -> None:
        """Start a transaction: read in one statement per channel what its appends answer."""
        self.connection = connection
        self._known.clear()
        wanted: dict[str, set[int]] = {}
        for operation in appends:
            if (seq := operation.body.get("reply_to")) is not None:
                wanted.setdefault(operation.channel, set()).add(seq)
        for name, numbers in wanted.items():
            with suppress(CommandError):  # the rule refuses it in its turn
                if channel := roster.channel(name):
                    self._load(channel, numbers)

    def note(self, channel: Channel, seq: int, message: Answerable) -> None:
        """Learn that the running transaction appended a message."""
        self._known[channel.id, seq] = message

    def find(self, channel: Channel, seq: int) -> Answerable | None:
        """Return the message `seq`; None if there is none of that number."""
        if (channel.id, seq) not in self._known:
            self._load(channel, {seq})
        return self._known[channel.id, seq]

    def _load(self, channel: Channel, numbers: set[int]) -> None:
        self._known.update(((channel.id, seq), None) for seq in numbers)
        found = _ANSWERABLE.rows(self.connection, numbers, channel=channel.id)
        for seq, root, author_id, name in found:
            self._known[channel.id, seq] = Answerable(root, User(author_id, name))
