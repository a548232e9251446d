"""An append that has passed the checks common to all kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from chat.protocol.items import Event
from chat.store.operations import Append, Appended, User
from chat.store.rights import no_such_message
from chat.store.schema import events
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel, ReplyTarget
from chat.store.write.transaction import Transaction
from chat.text import mentioned_names

__all__ = ["Request", "Target"]

MENTIONS_MAX = 100
"""Names in one text that are looked at; who shouts at more people mentions the first of them."""

_is_target = (
    events.c.channel_id == bindparam("channel"),
    events.c.seq == bindparam("number"),
)
_TARGET = Prepared(
    select(
        events.c.seq,
        events.c.author_id,
        events.c.body_id,
        events.c.last_edit,
        events.c.reply_to,
        events.c.kind,
        events.c.erased,
    ).where(*_is_target)
)
_FOLD = Prepared(update(events).where(*_is_target).values(rev=bindparam("at")))


@dataclass(frozen=True, slots=True)
class Target:
    """The message that an event is about, as it is now."""

    seq: int
    author_id: int
    body_id: int
    last_edit: int | None
    reply_to: int | None


@dataclass(slots=True)
class Request:
    """Who wants to append what, where; `role` is theirs in the channel. Not changed once made."""

    transaction: Transaction
    operation: Append
    channel: Channel
    role: str

    @property
    def user(self) -> User:
        """The person who asks."""
        return self.operation.user

    @property
    def body(self) -> dict[str, Any]:
        """The fields of the kind."""
        return self.operation.body

    def target(self) -> Target:
        """Return the message that `operation.target` names.

        Raises:
            CommandError: it is no message, or deleted.
        """
        row = self.transaction.first(_TARGET, channel=self.channel.id, number=self.operation.target)
        if row is None or row.kind != "message" or row.erased:
            raise no_such_message()
        return Target(row.seq, row.author_id, row.body_id, row.last_edit, row.reply_to)

    def answered(self, reply_to: int | None) -> ReplyTarget | None:
        """Return the message that a reply answers; None if it is none, or answers nothing."""
        return (
            None
            if reply_to is None
            else self.transaction.lookups.reply_target(self.channel, reply_to)
        )

    def mentioned(self, answered: ReplyTarget | None) -> tuple[User, ...]:
        """Return the members whom the text is for: those it names, then whom it answers."""
        text: str = self.body["text"]
        lookups = self.transaction.lookups
        named: tuple[User, ...] = ()
        if "@" in text:
            named = lookups.named_members(self.channel, mentioned_names(text)[:MENTIONS_MAX])
        if answered is None or answered.author in (self.user, *named):
            return named
        is_member = lookups.role(self.channel, answered.author) is not None
        return (*named, answered.author) if is_member else named

    def append(self, **fields: Any) -> Event:
        """Append the event of this request; `fields` as in `Transaction.append`."""
        asked = self.operation
        return self.transaction.append(
            self.channel, asked.user, asked.kind, target=asked.target, cid=asked.cid, **fields
        )

    def fold(self, event: Event) -> None:
        """Note in the target that `event` is folded into it."""
        self.transaction.execute(_FOLD, channel=self.channel.id, number=event.target, at=event.seq)

    def appended(self, event: Event) -> Appended:
        """Return the outcome of a new event."""
        return Appended(event.seq, event.mid, event.ts)
