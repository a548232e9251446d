"""Offline search in the cached messages.

What is typed means the same as to a server (`chat.tokenizer`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chat.client.model.channel import Channel
from chat.client.model.state import Message
from chat.client.storage.account import Account
from chat.links import has_link
from chat.protocol.commands import Search
from chat.protocol.frames import Hit, Results
from chat.text import fold
from chat.tokenizer import Term, find, terms_of

__all__ = ["HITS_MAX", "OfflineSearch", "raw_of", "search_offline"]

HITS_MAX = 200
"""Hits that are found at most: the newest."""
PAGE = 500
"""Numbers of lines that are looked at without a pause."""

_ESCAPE = "\\u"
"""Begins what is not ASCII, in the JSON that lines are kept in."""
_SNIPPET, _BEFORE = 240, 60


async def search_offline(
    account: Account, search: Search, *, most: int = HITS_MAX, page: int = PAGE
) -> Results:
    """Find messages in the cached lines of the channels one is in, newest first.

    Args:
        account: whose cache is searched.
        search: what is looked for.
        most: hits that are returned at most.
        page: numbers of lines that are looked at without a pause for the event loop.
    """
    looking = OfflineSearch(search)
    hits: list[Hit] = []
    for channel in list(account.channels.values()):
        if channel.is_member and looking.wants(channel.name):
            hits += await _look_through(account, channel, looking, most, page)
    newest = sorted(hits, key=lambda hit: hit.ts, reverse=True)[:most]
    return Results(hits=tuple(newest), complete=True)


async def _look_through(
    account: Account, channel: Channel, looking: OfflineSearch, most: int, page: int
) -> list[Hit]:
    hits: list[Hit] = []
    for first, last in reversed(channel.view.coverage.spans):
        before = last + 1
        while before > first and len(hits) < most:
            start = max(first, before - page)
            lines = account.lines_with(channel, range(start, before), looking.raw)
            hits += filter(None, map(looking.hit, reversed(lines)))
            before = start
            await asyncio.sleep(0)  # typing and the heartbeat come first
    return hits


class OfflineSearch:
    """Tells what of a channel's lines `search` finds.

    Attributes:
        raw: one of these is in the JSON of each line that is found, see `raw_of`.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._terms = terms_of(search.query)
        self.raw = raw_of(self._terms)

    def wants(self, channel: str) -> bool:
        """Whether there can be hits in a channel."""
        return self._search.channel is None or fold(self._search.channel) == fold(channel)

    def hit(self, line: Message) -> Hit | None:
        """Return what is found of a line, if anything."""
        if line.seq is None or line.kind != "message" or line.deleted or not self._is_meant(line):
            return None
        marks = find(self._terms, line.text) if self._terms else ()
        if marks is None:
            return None
        text = line.text
        start = max(marks[0][0] - _BEFORE, 0) if marks and len(text) > _SNIPPET else 0
        end = start + _SNIPPET
        return Hit(
            channel=line.channel,
            seq=line.seq,
            ts=line.ts,
            author=line.author,
            me=line.me,
            snippet=text[start:end],
            marks=_within(marks, start, end),
        )

    def _is_meant(self, line: Message) -> bool:
        search = self._search
        return (
            (search.author is None or fold(search.author) == fold(line.author))
            and (search.before is None or line.ts < search.before)
            and (search.after is None or line.ts >= search.after)
            and (search.has is None or has_link(line.text))
        )


def raw_of(terms: Sequence[Term]) -> tuple[str, str]:
    """Return two texts, one of which the JSON of each text has that holds the words of `terms`.

    They are to be looked for without regard to the capitals of ASCII. What is not ASCII is escaped
    there, and may be folded to any word; a text in ASCII holds the words as they are.
    """
    words = [word for term in terms for word in term.words]
    if all(word.isascii() for word in words):
        return max(words, key=len, default=""), _ESCAPE
    return _ESCAPE, _ESCAPE


def _within(marks: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, ...]:
    """Return the marks that lie in a piece, as places in it."""
    within = ((first, last) for first, last in marks if first >= start and last <= end)
    return tuple(place - start for mark in within for place in mark)
