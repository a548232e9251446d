"""Read timelines as items: forward or backward, by channel, thread, or pins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)

from chat.protocol.items import ItemFields
from chat.store.details import DETAILED_KINDS, decode, ids_in
from chat.store.operations import User
from chat.store.rights import no_such_message
from chat.store.schema import (
    BODY_FIELDS,
    ERASED,
    ME,
    REMOVE,
    THREAD_ONLY,
    events,
    folds,
    has_kind,
    is_change,
    is_line,
    kind_of,
    mentions,
    pins,
    reaction_counts,
    reactions,
    unpack_cid,
    users,
)
from chat.store.sql import Among, Prepared

__all__ = [
    "EVENTS_ONWARD",
    "PAGE_BYTES",
    "PINS_BYTES",
    "ChannelLines",
    "Lines",
    "PinnedLines",
    "ThreadLines",
    "items_of",
    "names_of",
    "root_of",
    "size_of",
    "with_own",
]


PAGE_BYTES = 65_536
"""Most bytes of a page's items: on a slow connection, a large frame delays later ones.
Most pages of 200 items are smaller."""
PINS_BYTES = 8 * PAGE_BYTES
"""The same for a page of pins: older clients read one page, which must hold 50 long texts."""
NAMES_MAX = 20
"""Most names that an item lists per emoji; with more people it adds their number."""
_ITEM_BYTES = 200
"""Approximate size of an item on the wire without its text and names."""

_edit = events.alias("edit")
ROWS: Select[Any] = (
    select(
        events.c.seq,
        events.c.mid,
        events.c.ts,
        users.c.name.label("author"),
        events.c.flags,
        events.c.cid,
        events.c.target,
        events.c.reply_to,
        events.c.thread,
        func.coalesce(_edit.c.text, events.c.text).label("text"),
        func.coalesce(folds.c.rev, events.c.seq).label("rev"),
        folds.c.edit_id,
    )
    .join_from(events, users, events.c.author_id == users.c.id)
    .outerjoin(folds, folds.c.event_id == events.c.id)
    .outerjoin(_edit, _edit.c.id == folds.c.edit_id)
)
"""Events with their current texts; a page adds the condition and the order."""

_MENTIONS = Among(
    select(mentions.c.seq, users.c.name)
    .join_from(mentions, users, mentions.c.user_id == users.c.id)
    .where(
        mentions.c.channel_id == bindparam("channel"),
    )
    .order_by(mentions.c.seq, mentions.c.place),
    mentions.c.seq,
)
_NAMES = Among(select(users.c.id, users.c.name), users.c.id)
_COUNTS = Among(
    select(
        reaction_counts.c.target, reaction_counts.c.since, reaction_counts.c.count, events.c.text
    )
    .join_from(
        reaction_counts,
        events,
        (events.c.channel_id == reaction_counts.c.channel_id)
        & (events.c.seq == reaction_counts.c.since),
    )
    .where(reaction_counts.c.channel_id == bindparam("channel"), is_change)
    .order_by(reaction_counts.c.target, reaction_counts.c.since),
    reaction_counts.c.target,
)
_named = (
    select(reactions.c.target, reactions.c.since, users.c.name)
    .join_from(reactions, users, reactions.c.user_id == users.c.id)
    .where(reactions.c.channel_id == bindparam("channel"))
)
_REACTORS = Among(
    _named.order_by(reactions.c.target, reactions.c.since, reactions.c.seq), reactions.c.target
)
_FIRST_REACTORS = Prepared(
    _named.where(reactions.c.target == bindparam("number"), reactions.c.since == bindparam("first"))
    .order_by(reactions.c.seq)
    .limit(NAMES_MAX)
)
_OWN = Among(
    select(reactions.c.target, events.c.text)
    .join_from(
        reactions,
        events,
        (events.c.channel_id == reactions.c.channel_id) & (events.c.seq == reactions.c.since),
    )
    .where(
        reactions.c.channel_id == bindparam("channel"),
        reactions.c.user_id == bindparam("user"),
        is_change,
    ),
    reactions.c.target,
)
_PINS_AMONG = Among(
    select(pins.c.target).where(pins.c.channel_id == bindparam("channel")), pins.c.target
)


def items_of(
    connection: Connection, channel_id: int, rows: Sequence[Any]
) -> tuple[ItemFields, ...]:
    """Return the items of `rows`, in their order."""
    if not rows:
        return ()
    users_in_details = _names_in_details(connection, rows)
    items = {row.seq: _item(row, users_in_details) for row in rows}
    for seq, names in _mentions(connection, channel_id, rows).items():
        items[seq]["mentions"] = tuple(names)
    # Only a message with changes can have reactions or a pin.
    changed = [row.seq for row in rows if row.rev > row.seq]
    for seq, reacted in _reactions(connection, channel_id, changed).items():
        items[seq]["reactions"] = {emoji: tuple(names) for emoji, names in reacted.names.items()}
        if reacted.counts:
            items[seq]["reaction_counts"] = reacted.counts
    for (seq,) in _PINS_AMONG.rows(connection, changed, channel=channel_id):
        items[seq]["pinned"] = True
    return tuple(items.values())


def with_own(
    connection: Connection, channel_id: int, user: User, items: tuple[ItemFields, ...]
) -> tuple[ItemFields, ...]:
    """Return `items` with `user` among the listed names of each of their reactions."""
    crowded = [item["seq"] for item in items if "reaction_counts" in item]
    if not crowded:
        return items
    own: dict[int, list[str]] = {}
    for target, emoji in _OWN.rows(connection, crowded, channel=channel_id, user=user.id):
        own.setdefault(target, []).append(emoji)
    return tuple(
        _naming(item, user, own[item["seq"]]) if item["seq"] in own else item for item in items
    )


def _naming(item: ItemFields, user: User, own: Sequence[str]) -> ItemFields:
    reactions = item["reactions"]
    lacking = [emoji for emoji in own if user.name not in reactions[emoji]]
    named = {emoji: (*reactions[emoji], user.name) for emoji in lacking}
    return {**item, "reactions": reactions | named} if named else item


def size_of(item: ItemFields) -> int:
    """Return the approximate size of an item in a frame, in bytes."""
    text = item.get("text") or item.get("topic") or ""
    size = _ITEM_BYTES + (len(text) if text.isascii() else len(text.encode()))
    if "mentions" in item:
        size += 12 * len(item["mentions"])
    if "reactions" in item:
        reactions = item["reactions"]
        size += 12 * sum(map(len, reactions.values())) + 8 * sum(map(len, reactions))
    return size


_FLAGS = {ME: "me", REMOVE: "remove", ERASED: "erased", THREAD_ONLY: "thread_only"}
_FLAG_BITS = ME | REMOVE | ERASED | THREAD_ONLY


def _item(row: Any, names: Mapping[int, str]) -> ItemFields:
    """Return the item of a row without its mentions, reactions and pin.

    `names` has the users in its details, by id.
    """
    # In the order of `ROWS`: access by name took 9 µs an item, as long as the rest.
    seq, mid, ts, author, flags, cid, target, reply_to, thread, text, rev, edit_id = row
    kind = kind_of(flags)
    fields: dict[str, Any] = {
        "seq": seq,
        "mid": mid.hex(),
        "ts": ts,
        "author": author,
        "kind": kind,
        "rev": rev,
    }
    if flags & _FLAG_BITS:
        fields.update((name, True) for bit, name in _FLAGS.items() if flags & bit)
    if text is not None and not flags & ERASED:
        if kind in DETAILED_KINDS:
            fields |= decode(text, names).fields()
        else:
            fields[BODY_FIELDS[kind]] = text
    if cid is not None:
        fields["cid"] = unpack_cid(cid)
    if reply_to is not None:
        fields["reply_to"] = reply_to
    if thread is not None:
        fields["thread"] = thread
    if target is not None:
        fields["target"] = target
    if edit_id is not None:
        fields["edited"] = True
    return cast("ItemFields", fields)


def _mentions(connection: Connection, channel_id: int, rows: Sequence[Any]) -> dict[int, list[str]]:
    numbers = [row.seq for row in rows if kind_of(row.flags) in ("message", "edit")]
    found: dict[int, list[str]] = {}
    if numbers:
        for seq, name in _MENTIONS.rows(connection, numbers, channel=channel_id):
            found.setdefault(seq, []).append(name)
    return found


def _names_in_details(connection: Connection, rows: Sequence[Any]) -> Mapping[int, str]:
    """Return the names of the users in the details of `rows`, by id."""
    ids: set[int] = set()
    for row in rows:
        if row.text is not None and kind_of(row.flags) in DETAILED_KINDS:
            ids |= ids_in(row.text)
    return names_of(connection, ids)


def names_of(connection: Connection, ids: Collection[int]) -> Mapping[int, str]:
    """Return the names of users by id."""
    return dict(_NAMES.rows(connection, sorted(ids)))


class _Reacted(NamedTuple):
    """Reactions to a message: names by emoji, and counts of emoji with more than `NAMES_MAX`."""

    names: dict[str, list[str]]
    counts: dict[str, int]


def _reactions(
    connection: Connection, channel_id: int, numbers: Sequence[int]
) -> dict[int, _Reacted]:
    found: dict[int, _Reacted] = {}
    emoji_of: dict[tuple[int, int], str] = {}
    for target, since, count, emoji in _COUNTS.rows(connection, numbers, channel=channel_id):
        emoji_of[target, since] = emoji
        reacted = found.setdefault(target, _Reacted({}, {}))
        reacted.names[emoji] = []
        if count > NAMES_MAX:
            reacted.counts[emoji] = count
    few = [target for target, reacted in found.items() if not reacted.counts]
    rows = [*_REACTORS.rows(connection, few, channel=channel_id)]
    for target, since in emoji_of:
        if found[target].counts:
            where = {"channel": channel_id, "number": target, "first": since}
            rows += _FIRST_REACTORS.all(connection, **where)
    for target, since, name in rows:
        found[target].names[emoji_of[target, since]].append(name)
    return found


Rows = Sequence[Any]

_count = bindparam("count", type_=events.c.seq.type)
# A subquery selects the ids from a covering index. Without it SQLite scans the log, including all
# changes and all lines outside the thread (126 ms if a message has 281,000 reactions).
_found = events.alias("found")
_in_channel = _found.c.channel_id == bindparam("channel")
_found_line = _found.c.target.is_(None)
_lines = select(_found.c.id).where(_in_channel, _found_line)
_changes = select(_found.c.id).where(_in_channel, _found.c.target.is_not(None))
_replies = select(_found.c.id).where(_in_channel, _found.c.thread == bindparam("root"))
_pins = (
    select(_found.c.id)
    .join_from(
        pins,
        _found,
        # The sum makes SQLite look up each pin instead of scanning all lines.
        (_found.c.channel_id == pins.c.channel_id)
        & (_found.c.seq == pins.c.target + literal_column("0"))
        & _found_line,
    )
    .where(pins.c.channel_id == bindparam("channel"))
)


def _before(ids: Select[Any], number: ColumnElement[int]) -> Prepared:
    some = ids.where(number < bindparam("anchor")).order_by(number.desc()).limit(_count)
    return Prepared(ROWS.where(events.c.id.in_(some)).order_by(events.c.seq.desc()))


def _first(ids: Select[Any], number: ColumnElement[int]) -> Select[Any]:
    return ids.where(number >= bindparam("anchor")).order_by(number).limit(_count)


def _onward(ids: Select[Any], number: ColumnElement[int]) -> Prepared:
    return Prepared(ROWS.where(events.c.id.in_(_first(ids, number))).order_by(events.c.seq))


_LINES_BEFORE, _LINES_ONWARD = _before(_lines, _found.c.seq), _onward(_lines, _found.c.seq)
_REPLIES_BEFORE, _REPLIES_ONWARD = _before(_replies, _found.c.seq), _onward(_replies, _found.c.seq)
_PINNED_BEFORE, _PINNED_ONWARD = _before(_pins, pins.c.target), _onward(_pins, pins.c.target)
_either = union_all(
    select(_first(_lines, _found.c.seq).subquery()),
    select(_first(_changes, _found.c.seq).subquery()),
)
EVENTS_ONWARD = Prepared(ROWS.where(events.c.id.in_(_either)).order_by(events.c.seq).limit(_count))
"""The first `count` events of every kind in `channel` from the seq `anchor` on."""
_in_log = (events.c.channel_id == bindparam("channel"), is_line)
_ONE = Prepared(ROWS.where(*_in_log, events.c.seq == bindparam("root")))
_ROOT = Prepared(
    select(func.coalesce(events.c.thread, events.c.seq)).where(
        *_in_log, events.c.seq == bindparam("number"), has_kind("message")
    )
)


class Lines(Protocol):
    """A sequence of lines in the order of `seq`."""

    def before(self, anchor: int, count: int) -> Rows:
        """Return the last `count` lines below `anchor`, the newest first."""

    def onward(self, anchor: int, count: int) -> Rows:
        """Return the first `count` lines from `anchor` on."""


class ChannelLines(NamedTuple):
    """All lines of a channel."""

    connection: Connection
    channel_id: int

    def before(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_LINES_BEFORE, anchor, count)

    def onward(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_LINES_ONWARD, anchor, count)

    def _rows(self, statement: Prepared, anchor: int, count: int) -> Rows:
        return statement.all(self.connection, channel=self.channel_id, anchor=anchor, count=count)


class ThreadLines(NamedTuple):
    """A thread: the message `root`, then all its replies."""

    connection: Connection
    channel_id: int
    root: int

    def before(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        rows = self._rows(_REPLIES_BEFORE, anchor, count)
        return [*rows, *self._first()] if len(rows) < count and self.root < anchor else rows

    def onward(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        first = self._first() if count and self.root >= anchor else []
        return [*first, *self._rows(_REPLIES_ONWARD, anchor, count - len(first))]

    def _first(self) -> Rows:
        return self._rows(_ONE, 0, 1)

    def _rows(self, statement: Prepared, anchor: int, count: int) -> Rows:
        where = {"channel": self.channel_id, "root": self.root, "anchor": anchor, "count": count}
        return statement.all(self.connection, **where)


class PinnedLines(NamedTuple):
    """The pinned messages of a channel."""

    connection: Connection
    channel_id: int

    def before(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_PINNED_BEFORE, anchor, count)

    def onward(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_PINNED_ONWARD, anchor, count)

    def _rows(self, statement: Prepared, anchor: int, count: int) -> Rows:
        return statement.all(self.connection, channel=self.channel_id, anchor=anchor, count=count)


def root_of(connection: Connection, channel_id: int, seq: int) -> int:
    """Return the root of the thread of the message `seq`: itself if it is not a reply.

    Raises:
        CommandError: no_such_message.
    """
    root: int | None = _ROOT.scalar(connection, channel=channel_id, number=seq)
    if root is None:
        raise no_such_message("thread")
    return root
