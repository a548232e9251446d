"""The writer's open transaction: numbers, buffered rows, and what the batch has changed so far.

They gather as rows and are inserted together, as events are: when everybody arrives at once, a
commit holds many, and a statement for each row took 60 µs, twenty times the row itself.

Rules (the other modules of this package) change the logs through a `Transaction`. New events gather
in lists, and so do people, channels, and members (`RowBuffer`); all are inserted together
by `flush`, which a rule calls before it reads or changes any of them by SQL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from chat.protocol.items import Event
from chat.protocol.limits import FOLDED_KINDS, USUAL_LEVEL
from chat.protocol.values import Limits
from chat.rate import TokenBuckets
from chat.store.ids import Ids
from chat.store.operations import Append, Operation, User
from chat.store.rights import channel_key
from chat.store.schema import (
    BODY_FIELDS,
    bodies,
    channels,
    events,
    members,
    mentions,
    tokens,
    users,
)
from chat.store.sql import Among, BulkInsert, Prepared
from chat.store.sqlite.fts5 import Changes
from chat.store.write.lookups import Channel, ReplyLookup, ReplyTarget, Roster
from chat.text import fold, is_direct

__all__ = ["RowBuffer", "Sent", "Transaction"]


_NEWEST_USER = select(func.max(users.c.id))
_NEWEST_CHANNEL = select(func.max(channels.c.id))


class RowBuffer:
    """Rows that the running transaction adds; `flush` inserts them, in the tables' order."""

    connection: Connection

    def __init__(self) -> None:
        self._next_user = self._next_channel = 0
        self._insert_users = BulkInsert(users)
        self._insert_tokens = BulkInsert(tokens)
        self._insert_channels = BulkInsert(channels)
        self._insert_members = BulkInsert(members)
        self.clear()

    def begin(self, connection: Connection) -> None:
        """Start a transaction; the first one reads which ids are free."""
        self.connection = connection
        self.clear()
        if not self._next_user:
            self._next_user = (connection.scalar(_NEWEST_USER) or 0) + 1
            self._next_channel = (connection.scalar(_NEWEST_CHANNEL) or 0) + 1

    def forget(self) -> None:
        """Drop everything: the transaction was rolled back."""
        self._next_user = 0
        self.clear()

    def clear(self) -> None:
        """Drop what waits."""
        # Rows in the order of their tables' columns.
        self._users: list[tuple[int, str, str, int]] = []
        self._tokens: list[tuple[int, bytes]] = []
        self._channels: list[tuple[Channel, int]] = []
        self._members: list[tuple[Any, ...]] = []

    def add_user(self, name: str, token_hash: bytes, now: int) -> User:
        """Add a person with the token that is theirs from now on."""
        user = User(self._next_user, name)
        self._next_user += 1
        self._users.append((user.id, name, fold(name), now))
        self._tokens.append((user.id, token_hash))
        return user

    def add_channel(self, channel: Channel, now: int) -> None:
        """Add a channel, which gets its id; it is inserted as it is when `flush` is called."""
        channel.id = self._next_channel
        self._next_channel += 1
        self._channels.append((channel, now))

    def add_member(
        self, channel: Channel, user: User, role: str, read: int, *, counted: bool, hidden: bool
    ) -> None:
        """Add a member who has read up to `read`, with no wishes of their own."""
        wishes = (0, False, USUAL_LEVEL)
        self._members.append(
            (channel.id, user.id, fold(user.name), role, read, read, *wishes, counted, hidden)
        )

    def flush(self) -> list[Channel]:
        """Insert what waits; return the channels that need no more be saved."""
        created = [channel for channel, _ in self._channels]
        channel_rows = [_row(channel, now) for channel, now in self._channels]
        for insert_rows, rows in (
            (self._insert_users, self._users),
            (self._insert_tokens, self._tokens),
            (self._insert_channels, channel_rows),
            (self._insert_members, self._members),
        ):
            if rows:
                insert_rows(self.connection, rows)
        self.clear()
        return created


def _row(channel: Channel, now: int) -> tuple[Any, ...]:
    name, key = channel.name, channel.fold
    state = (channel.epoch, channel.head, channel.topic, channel.member_count)
    return (channel.id, name, key, is_direct(name), *state, now)


_SENT = Among(
    select(
        events.c.send_key,
        events.c.channel_id,
        events.c.kind,
        events.c.target,
        events.c.seq,
        events.c.mid,
        events.c.ts,
    ),
    events.c.send_key,
)
_NEWEST_BODY = Prepared(select(func.max(bodies.c.id)))
_SAVE_CHANNELS = Prepared(
    update(channels)
    .where(channels.c.id == bindparam("channel"))
    .values(
        head=bindparam("new_head"),
        topic=bindparam("new_topic"),
        member_count=bindparam("new_count"),
    )
)
_REMOVE_MEMBER = Prepared(
    delete(members).where(
        members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user")
    )
)
_SET_HIDDEN = Prepared(
    update(members)
    .where(members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user"))
    .values(hidden=bindparam("is_hidden"))
)


class Sent(NamedTuple):
    """What a client's `cid` was used for."""

    channel_id: int
    kind: str
    target: int | None
    seq: int
    mid: str
    ts: int


class Transaction:
    """See the module. One thread, one connection; `begin` comes first in every transaction."""

    connection: Connection

    def __init__(
        self,
        limits: Limits,
        clock_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.now = clock_ms
        self._monotonic = monotonic
        self._openings = TokenBuckets(limits.openings / 3_600, limits.openings)
        self._creations = TokenBuckets(limits.channels / 3_600, limits.channels)
        self.roster = Roster()
        self.answering = ReplyLookup()
        self.index = Changes()
        """What the full-text index is to find, and what not any more."""
        self.has_written = False
        """Whether anything was changed since `begin`."""
        self.has_erased = False
        """Whether a body was erased since `begin`: the write-ahead log still holds it."""
        self._arrivals = RowBuffer()
        self._next_body = 0
        self._ids = Ids()
        self._insert_bodies = BulkInsert(bodies)
        self._insert_events = BulkInsert(events)
        self._insert_mentions = BulkInsert(mentions)
        self._clear()

    def begin(self, connection: Connection, operations: Sequence[Operation[Any]]) -> None:
        """Start a transaction, and read at once what its operations will ask for."""
        self.connection = connection
        self.has_written = self.has_erased = False
        self._clear()
        appends = [operation for operation in operations if isinstance(operation, Append)]
        self.roster.begin(connection, operations)
        self._arrivals.begin(connection)
        self.answering.begin(connection, self.roster, appends)
        if not self._next_body:
            self._next_body = (_NEWEST_BODY.scalar(connection) or 0) + 1
        keys = {_send_key(each.user, each.cid) for each in appends if each.cid is not None}
        if keys:
            rows = _SENT.rows(connection, keys)
            self._sent.update((key, Sent(*rest)) for key, *rest in rows)

    def forget(self) -> None:
        """Drop everything that is known: the transaction was rolled back."""
        self.roster.forget()
        self._arrivals.forget()
        self._next_body = 0
        self._clear()
        self.index.forget()

    # People, channels and members

    def add_user(self, name: str, token_hash: bytes) -> User:
        """Let a person have `name`, who is known by a token from now on."""
        self.has_written = True
        user = self._arrivals.add_user(name, token_hash, self.now())
        self.roster.note_user(user, token_hash)
        return user

    def pause_before_opening(self, user: User) -> float:
        """Count one direct channel that `user` opens; return 0, or the seconds until they may."""
        return self._openings.take(user.id, self._monotonic())

    def pause_before_creating(self, user: User) -> float:
        """Count one channel that `user` creates; return 0, or the seconds until they may."""
        return self._creations.take(user.id, self._monotonic())

    def add_channel(self, name: str) -> Channel:
        """Create a channel with an empty log."""
        channel = Channel(0, name, channel_key(name), self._ids.new(), 0, "", 0)
        self.has_written = True
        self._arrivals.add_channel(channel, self.now())
        self.roster.note_channel(channel)
        return channel

    def add_member(
        self,
        channel: Channel,
        user: User,
        role: str,
        read: int,
        *,
        counted: bool = True,
        hidden: bool = False,
    ) -> None:
        """Make `user` a member who has read up to `read`.

        Args:
            channel: the channel to add them to.
            user: the new member.
            role: their role.
            read: their read marker.
            counted: whether the channel counts against their limit of channels.
            hidden: whether the channel is left out of their list until its next message.
        """
        self.has_written = True
        self._arrivals.add_member(channel, user, role, read, counted=counted, hidden=hidden)
        channel.member_count += 1
        self._changed[channel.id] = channel
        self.roster.note_role(channel, user, role, counted=counted and not hidden)
        if hidden:
            self.roster.note_hidden(channel, user, is_hidden=True)

    def set_hidden(self, channel: Channel, people: Sequence[User], *, is_hidden: bool) -> None:
        """Hide the channel from the lists of `people`, or show it there again."""
        self.has_written = True
        self.flush()
        for user in people:
            _SET_HIDDEN.run(self.connection, channel=channel.id, user=user.id, is_hidden=is_hidden)
            self.roster.note_hidden(channel, user, is_hidden=is_hidden)
            self.roster.forget_count(user)  # a hidden channel does not count

    def remove_member(self, channel: Channel, user: User) -> None:
        """End a membership, and drop the read marker with it."""
        self.has_written = True
        self.flush()
        _REMOVE_MEMBER.run(self.connection, channel=channel.id, user=user.id)
        channel.member_count -= 1
        self._changed[channel.id] = channel
        self.roster.note_role(channel, user, None)

    def set_topic(self, channel: Channel, topic: str) -> None:
        """Change the topic that newcomers see."""
        self.has_written = True
        channel.topic = topic
        self._changed[channel.id] = channel

    # Events

    def sent(self, user: User, cid: str) -> Sent | None:
        """Return what `user` sent as `cid` before, in this transaction or ever."""
        return self._sent.get(_send_key(user, cid))

    def append(
        self,
        channel: Channel,
        author: User,
        kind: str,
        *,
        body: str | None = None,
        mentioned: Sequence[User] = (),
        target: int | None = None,
        me: bool = False,
        reply_to: int | None = None,
        thread: int | None = None,
        remove: bool = False,
        cid: str | None = None,
    ) -> Event:
        """Put an event at the channel's end, with the next number; return it as a frame.

        `body` is the string of the kind's field in `BODY_FIELDS`, `mentioned` are the members whom
        the text mentions; the others are fields of `protocol.items.Event`.
        """
        self.has_written = True
        seq = channel.head = channel.head + 1
        self._changed[channel.id] = channel
        strings: dict[str, Any] = {} if body is None else {BODY_FIELDS[kind]: body}
        if mentioned:
            self.add_mentions(channel, seq, mentioned)
            strings["mentions"] = tuple(user.name for user in mentioned)
        event = Event.known(
            channel=channel.name,
            seq=seq,
            mid=self._ids.new(),
            ts=self.now(),
            author=author.name,
            kind=kind,
            target=target,
            me=me,
            reply_to=reply_to,
            thread=thread,
            remove=remove,
            cid=cid,
            **strings,
        )
        self._keep(channel, author, event, body)
        return event

    def _keep(self, channel: Channel, author: User, event: Event, body: str | None) -> None:
        """Gather the event's row, and what is to be known of it in this transaction."""
        seq, kind, mid, ts, target = event.seq, event.kind, event.mid, event.ts, event.target
        if kind == "message":
            self.answering.note(channel, seq, ReplyTarget(event.thread or seq, author))
            if body is not None:
                self.index.add(channel.id, seq, author.id, body)
        send_key = None
        if event.cid is not None:
            send_key = _send_key(author, event.cid)
            self._sent[send_key] = Sent(channel.id, kind, target, seq, mid, ts)
        self._events.append(
            (
                *(channel.id, seq, mid, ts, author.id, kind),
                kind not in FOLDED_KINDS,  # is_line
                *(send_key, target, self._add_body(body)),
                *(event.me, event.reply_to, event.remove),
                seq,  # rev
                None,  # last_edit
                False,  # erased
                event.thread,
            )
        )

    @property
    def last_body(self) -> int:
        """The id of the body that was added last."""
        return self._next_body - 1

    def add_mentions(self, channel: Channel, seq: int, mentioned: Sequence[User]) -> None:
        """Note whom the text of an event mentions."""
        self._mentions.extend(
            (channel.id, seq, place, user.id) for place, user in enumerate(mentioned)
        )

    def flush(self) -> None:
        """Insert what was gathered; afterwards SQL sees it too."""
        for channel in self._arrivals.flush():
            self._changed.pop(channel.id, None)
        for insert_rows, rows in (
            (self._insert_bodies, self._bodies),
            (self._insert_events, self._events),
            (self._insert_mentions, self._mentions),
        ):
            if rows:
                insert_rows(self.connection, rows)
                rows.clear()
        if self._changed:
            changed = [_saved(channel) for channel in self._changed.values()]
            _SAVE_CHANNELS.run_many(self.connection, changed)
            self._changed.clear()

    def finish(self) -> None:
        """Write what is left, and the index, before the transaction is committed."""
        self.flush()
        self.index.write(self.connection)

    def _clear(self) -> None:
        self.index.clear()
        self._sent: dict[str, Sent] = {}
        self._changed: dict[int, Channel] = {}
        # Rows in the order of their tables' columns.
        self._bodies: list[tuple[int, str]] = []
        self._events: list[tuple[Any, ...]] = []
        self._mentions: list[tuple[int, int, int, int]] = []

    def _add_body(self, body: str | None) -> int | None:
        if body is None:
            return None
        body_id = self._next_body
        self._next_body += 1
        self._bodies.append((body_id, body))
        return body_id


def _send_key(user: User, cid: str) -> str:
    return f"{user.id}/{cid}"


def _saved(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.id,
        "new_head": channel.head,
        "new_topic": channel.topic,
        "new_count": channel.member_count,
    }
