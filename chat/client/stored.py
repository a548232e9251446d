"""How lines and channels are written into the client's file, as JSON, and made of it again.

What a line has by default is left out: files are half as large, and pages read twice as fast.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from typing import Any

from chat.client.folding import Reactions, merged
from chat.client.preferences import Preference, Wish
from chat.client.records import ChannelRecord
from chat.client.shapes import (
    Misshapen,
    flag,
    list_of,
    number,
    optional,
    record,
    text,
    tuple_of,
    word,
)
from chat.client.state import Delivery, Message

__all__ = ["channel_from", "channel_json", "line_from", "line_json"]

_encode = json.JSONEncoder(separators=(",", ":")).encode
_DEFAULTS = {each.name: each.default for each in fields(Message) if each.default is not MISSING}
_NEEDED = [each.name for each in fields(Message) if each.default is MISSING]


def _pair(value: Any) -> tuple[int, int]:
    first, last = list_of(number)(value)
    return first, last


def _reaction(value: Any) -> tuple[str, tuple[str, ...]]:
    emoji, names = value
    return word(emoji), tuple_of(word)(names)


def _count(value: Any) -> tuple[str, int]:
    emoji, count = value
    return word(emoji), number(count)


def _reactions(value: Any) -> Reactions:
    return merged(tuple_of(_reaction)(value))


_MESSAGE = record(
    Message,
    channel=word,
    seq=optional(number),
    cid=optional(text),
    author=word,
    ts=number,
    kind=word,
    text=text,
    me=flag,
    reply_to=optional(number),
    thread=optional(number),
    mentions=tuple_of(word),
    user=optional(word),
    edited=flag,
    pinned=flag,
    erased=flag,
    reactions=_reactions,
    reaction_counts=tuple_of(_count),
    rev=number,
    delivery=Delivery,
    reason=text,
)
_RECORD = record(
    ChannelRecord,
    name=text,
    epoch=text,
    position=number,
    mid=optional(text),
    spans=tuple_of(_pair),
    topic=text,
    role=text,
    read=number,
    unread=number,
    mentions=number,
    marked=number,
    generation=number,
    preference=record(Preference, pinned=number, muted=flag, level=text),
    wish=record(Wish, pinned=optional(number), muted=optional(flag), level=optional(text)),
    pins=tuple_of(number),
)


def _decoded(body: str | bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, TypeError, RecursionError) as exc:  # a damaged file may hold anything
        raise Misshapen(f"no JSON: {exc}") from exc


def line_json(line: Message) -> str:
    """Write a line."""
    values = {name: getattr(line, name) for name in _NEEDED}
    for name, default in _DEFAULTS.items():
        value = getattr(line, name)
        if value != default:
            values[name] = value
    if line.rev == line.seq:
        values.pop("rev", None)
    return _encode(values)


def line_from(body: str | bytes) -> Message:
    """Make a line of what was written.

    Raises:
        Misshapen: it is no line.
    """
    values = _decoded(body)
    if type(values) is dict and values.get("rev", values.get("seq")) == values.get("seq"):
        values["rev"] = values.get("seq") or 0  # the same object: 3 MB of 100,000 lines
    return _MESSAGE(values)


def channel_json(channel: ChannelRecord) -> str:
    """Write a channel; its generation stands beside it."""
    values = asdict(channel)
    del values["generation"]
    return _encode(values)


def channel_from(body: str | bytes, generation: int) -> ChannelRecord:
    """Make a channel of what was written.

    Raises:
        Misshapen: it is no channel.
    """
    values = _decoded(body)
    return _RECORD({**values, "generation": generation} if type(values) is dict else values)
