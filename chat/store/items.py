"""From rows of the log to items: what a page holds, with all that is folded into a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from chat.protocol.items import Item
from chat.store.ledger import BODY_FIELDS
from chat.store.prepared import Among
from chat.store.schema import bodies, events, mentions, pins, reactions, users

__all__ = ["PAGE_BYTES", "PINS_BYTES", "ROWS", "items_of", "size_of"]

PAGE_BYTES = 65_536
"""Bytes of items above which a page is cut: on a slow line, a frame holds up those behind it.
Most pages of 200 items have fewer."""
PINS_BYTES = 8 * PAGE_BYTES
"""The same for a page of pins: older clients read only one, and 50 of the longest texts fit."""
_ITEM_BYTES = 200
"""Bytes of an item on the wire without its text and names, most of them field names."""

ROWS: Select[Any] = (
    select(
        events.c.seq,
        events.c.mid,
        events.c.ts,
        users.c.name.label("author"),
        events.c.author_id,
        events.c.kind,
        events.c.send_key,
        events.c.target,
        bodies.c.text,
        events.c.me,
        events.c.reply_to,
        events.c.remove,
        events.c.rev,
        events.c.last_edit,
        events.c.erased,
        events.c.thread,
    )
    .join_from(events, users, events.c.author_id == users.c.id)
    .join(bodies, events.c.body_id == bodies.c.id, isouter=True)
    .where(events.c.channel_id == bindparam("channel"))
)
"""The events of `channel`; whoever reads a page adds where it begins, its order, and its length."""

_MENTIONS = Among(
    select(mentions.c.seq, users.c.name)
    .join_from(mentions, users, mentions.c.user_id == users.c.id)
    .where(
        mentions.c.channel_id == bindparam("channel"),
    )
    .order_by(mentions.c.seq, mentions.c.place),
    mentions.c.seq,
)
_REACTIONS = Among(
    select(reactions.c.target, bodies.c.text, users.c.name)
    .join_from(reactions, bodies, reactions.c.body_id == bodies.c.id)
    .join(users, reactions.c.user_id == users.c.id)
    .where(
        reactions.c.channel_id == bindparam("channel"),
    )
    .order_by(reactions.c.target, reactions.c.since, reactions.c.seq),
    reactions.c.target,
)
_PINNED = Among(
    select(pins.c.target).where(pins.c.channel_id == bindparam("channel")), pins.c.target
)


def items_of(connection: Connection, channel_id: int, rows: Sequence[Any]) -> tuple[Item, ...]:
    """Return the items of `rows`, in their order."""
    if not rows:
        return ()
    mentioned = _mentions(connection, channel_id, rows)
    # Only a message that something was folded into can have reactions, or a pin.
    changed = [row.seq for row in rows if row.kind == "message" and row.rev > row.seq]
    reacted = _reactions(connection, channel_id, changed)
    pinned = _pinned(connection, channel_id, changed)
    return tuple(
        _item(
            row,
            tuple(mentioned.get(row.seq, ())),
            reacted.get(row.seq, {}),
            is_pinned=row.seq in pinned,
        )
        for row in rows
    )


def size_of(item: Item) -> int:
    """Return about how many bytes an item takes in a frame."""
    names = len(item.mentions) + sum(map(len, item.reactions.values()))
    emoji = sum(map(len, item.reactions))
    text = item.text or item.topic or ""
    length = len(text) if text.isascii() else len(text.encode())
    return _ITEM_BYTES + length + 12 * names + 8 * emoji


def _item(
    row: Any,
    mentioned: tuple[str, ...],
    reacted: dict[str, list[str]],
    *,
    is_pinned: bool,
) -> Item:
    # In the order of `ROWS`: asking for columns by name took as long as all else, 9 µs an item.
    seq, mid, ts, author, _author_id, kind, send_key, target, text, *rest = row
    me, reply_to, remove, rev, last_edit, erased, thread = rest
    body: dict[str, Any] = {} if text is None else {BODY_FIELDS[kind]: text}
    return Item.known(
        seq=seq,
        mid=mid,
        ts=ts,
        author=author,
        kind=kind,
        me=me,
        reply_to=reply_to,
        thread=thread,
        mentions=mentioned,
        target=target,
        remove=remove,
        erased=erased,
        cid=None if send_key is None else send_key.partition("/")[2],
        rev=rev,
        edited=last_edit is not None,
        pinned=is_pinned,
        reactions={emoji: tuple(names) for emoji, names in reacted.items()},
        **body,
    )


def _mentions(connection: Connection, channel_id: int, rows: Sequence[Any]) -> dict[int, list[str]]:
    numbers = [row.seq for row in rows if row.kind in ("message", "edit")]
    found: dict[int, list[str]] = {}
    if numbers:
        for seq, name in _MENTIONS.rows(connection, numbers, channel=channel_id):
            found.setdefault(seq, []).append(name)
    return found


def _reactions(
    connection: Connection, channel_id: int, numbers: Sequence[int]
) -> dict[int, dict[str, list[str]]]:
    found: dict[int, dict[str, list[str]]] = {}
    if numbers:
        for target, emoji, name in _REACTIONS.rows(connection, numbers, channel=channel_id):
            found.setdefault(target, {}).setdefault(emoji, []).append(name)
    return found


def _pinned(connection: Connection, channel_id: int, numbers: Sequence[int]) -> frozenset[int]:
    rows = _PINNED.rows(connection, numbers, channel=channel_id)
    return frozenset(target for (target,) in rows)
