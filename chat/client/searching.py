"""What a person types into a search, read into the protocol's `search`. Pure.

The operators are `from:NAME`, `in:CHANNEL`, `before:WHEN`, `after:WHEN` and `has:link`; all else is
words, "phrases" and prefix*, which the server reads. WHEN is a day, a time or so long ago, in
the person's own time: `before:2026-11-24` ends where that day begins, `after:2026-11-24` begins
there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chat.errors import ChatError
from chat.text import check_channel, check_name, direct_channel

if TYPE_CHECKING:
    from chat.protocol.commands import Search

__all__ = ["HINT", "SearchError", "parse_search"]

HINT = 'words  "a phrase"  begin*  from:NAME  in:#CHANNEL  before:DAY  after:DAY  has:link'
_PIECE = re.compile(r'[a-z]+:"[^"]*"|"[^"]*"?\*?|[^\s"]+', re.IGNORECASE)


class SearchError(ChatError):
    """An operator cannot be understood; the message says what to write instead."""


def parse_search(typed: str, me: str, now: datetime) -> Search:
    """Return the search that somebody called `me` has typed at `now`.

    The zone of `now` has to know the rules of all dates.

    Raises:
        SearchError: an operator's value is none.
    """
    from chat.protocol.commands import Search  # here: the first page shows without it

    words: list[str] = []
    fields: dict[str, Any] = {}
    for piece in _PIECE.findall(typed):
        name, _, value = piece.partition(":")
        read = _OPERATORS.get(name.lower())
        if read is None or not value:
            words.append(piece)
            continue
        try:
            key, found = read(value.strip('"'), me, now)
        except ValueError as exc:
            raise SearchError(f"{name}: {exc}") from None
        fields[key] = found
    if not words and not {"author", "has"} & fields.keys():
        raise SearchError("Write a word to look for, from:NAME or has:link.")
    return Search(query=" ".join(words), **fields)


def _author(value: str, me: str, _now: datetime) -> tuple[str, str]:
    name = value.removeprefix("@")
    return "author", me if name.lower() == "me" else check_name(name)


def _channel(value: str, me: str, _now: datetime) -> tuple[str, str]:
    if value.startswith("@") and me:
        return "channel", check_channel(direct_channel([me, *value[1:].split(",")]))
    return "channel", check_channel(value if value.startswith("#") else f"#{value}")


def _moment(key: str) -> Callable[[str, str, datetime], tuple[str, int]]:
    def read(value: str, _me: str, now: datetime) -> tuple[str, int]:
        from chat.client.pipes.since import parse_since

        since = parse_since(value, now)
        if since.seq is not None:
            raise ValueError(f"“{value}” is no time. Write 2026-11-24, 09:30 or 2d")
        return key, since.ts

    return read


def _has(value: str, _me: str, _now: datetime) -> tuple[str, str]:
    if value.lower() not in ("link", "links"):
        raise ValueError(f"“{value}” cannot be looked for. Write has:link")
    return "has", "link"


_OPERATORS: dict[str, Callable[[str, str, datetime], tuple[str, Any]]] = {
    "from": _author,
    "in": _channel,
    "before": _moment("before"),
    "after": _moment("after"),
    "has": _has,
}
