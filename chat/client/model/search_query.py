"""Parse search operators, and the value of `--since`.

The operators are `from:NAME`, `in:CHANNEL`, `before:WHEN`, `after:WHEN` and `has:link`; the rest
are words, "phrases" and prefix*, which the server parses. WHEN is a day, a time or a duration ago,
in the user's time zone. `before:2026-11-24` ends at the start of that day; `after:2026-11-24`
begins there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from chat.durations import SECONDS
from chat.errors import ChatError
from chat.text import check_channel, check_name, direct_channel

if TYPE_CHECKING:
    from chat.protocol.commands import Search

__all__ = ["HINT", "SearchError", "Since", "parse_search", "parse_since"]


_DURATION = re.compile(r"(\d{1,9})([smhdw])")
_SEQ = re.compile(r"\d{1,16}")


@dataclass(frozen=True, slots=True)
class Since:
    """Where to begin reading: after a seq, or at a time in milliseconds since 1970 UTC."""

    seq: int | None = None
    ts: int = 0


def parse_since(word: str, now: datetime) -> Since:
    """Parse `--since`: `41`, `90s`, `10m`, `2h`, `1d`, `1w`, `09:30`, `2026-11-24T09:30`.

    Args:
        word: the value; a time without a zone is in the zone of `now`.
        now: the current time, in a zone that knows past and future offsets.

    Raises:
        ValueError: the value is invalid.
    """
    if _SEQ.fullmatch(word):
        return Since(seq=int(word))
    if match := _DURATION.fullmatch(word):
        ago = int(match[1]) * SECONDS[match[2]]
        return Since(ts=max(0, round((now.timestamp() - ago) * 1000)))
    try:
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", word):
            moment = datetime.combine(now.date(), time.fromisoformat(word))
        else:
            moment = datetime.fromisoformat(word)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)).timestamp()
    except (ValueError, OverflowError, OSError):  # years that the system does not support
        raise ValueError(
            f"{word!r} is not a number, a duration (90s, 10m, 2h, 1d, 1w) or a time "
            "(09:30, 2026-11-24, 2026-11-24T09:30)"
        ) from None
    return Since(ts=max(0, round(seconds * 1000)))


HINT = 'words  "a phrase"  prefix*  from:NAME  in:#CHANNEL  before:DAY  after:DAY  has:link'
_PIECE = re.compile(r'[a-z]+:"[^"]*"|"[^"]*"?\*?|[^\s"]+', re.IGNORECASE)


class SearchError(ChatError):
    """An invalid operator; the message says what to write instead."""


def parse_search(typed: str, me: str, now: datetime) -> Search:
    """Return the search that the user `me` typed at `now`.

    The zone of `now` must know past and future offsets.

    Raises:
        SearchError: an operator has an invalid value.
    """
    from chat.protocol.commands import Search  # lazy: the first page does not need it

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
        raise SearchError("Enter a word, from:NAME or has:link.")
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

        since = parse_since(value, now)
        if since.seq is not None:
            raise ValueError(f"“{value}” is not a time. Use 2026-11-24, 09:30 or 2d.")
        return key, since.ts

    return read


def _has(value: str, _me: str, _now: datetime) -> tuple[str, str]:
    if value.lower() not in ("link", "links"):
        raise SearchError(f"has:{value} is not supported. Use has:link.")
    return "has", "link"


_OPERATORS: dict[str, Callable[[str, str, datetime], tuple[str, Any]]] = {
    "from": _author,
    "in": _channel,
    "before": _moment("before"),
    "after": _moment("after"),
    "has": _has,
}
