"""Offline search in the cached messages.

The query has the same meaning as on a server (`chat.tokenizer`).
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
"""Maximum number of hits; the newest are returned."""
PAGE = 500
"""Seqs that are searched without yielding to the event loop."""

_ESCAPE = "\\u"
"""The escape of a non-ASCII character in the stored JSON."""
_SNIPPET, _BEFORE = 240, 60


async def search_offline(
    account: Account, search: Search, *, most: int = HITS_MAX, page: int = PAGE
) -> Results:
    """Find messages in the cached lines of the user's channels, newest first.

    Args:
        account: the account to search.
        search: the query.
        most: maximum number of hits.
        page: seqs to search without yielding to the event loop.
    """
    matcher = OfflineSearch(search)
    hits: list[Hit] = []
    for channel in list(account.channels.values()):
        if channel.is_member and matcher.wants(channel.name):
            hits += await _search_channel(account, channel, matcher, most, page)
    newest = sorted(hits, key=lambda hit: hit.ts, reverse=True)[:most]
    return Results(hits=tuple(newest), complete=True)


async def _search_channel(
    account: Account, channel: Channel, matcher: OfflineSearch, most: int, page: int
) -> list[Hit]:
    hits: list[Hit] = []
    for first, last in reversed(channel.view.coverage.spans):
        before = last + 1
        while before > first and len(hits) < most:
            start = max(first, before - page)
            lines = account.lines_with(channel, range(start, before), matcher.raw)
            hits += filter(None, map(matcher.hit, reversed(lines)))
            before = start
            await asyncio.sleep(0)  # lets input and the heartbeat run
    return hits


class OfflineSearch:
    """Matches lines against a search.

    Attributes:
        raw: the JSON of each matching line contains one of these, see `raw_of`.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._terms = terms_of(search.query)
        self.raw = raw_of(self._terms)

    def wants(self, channel: str) -> bool:
        """Whether a channel can contain hits."""
        return self._search.channel is None or fold(self._search.channel) == fold(channel)

    def hit(self, line: Message) -> Hit | None:
        """Return the hit in a line, if it matches."""
        if (
            line.seq is None
            or line.kind != "message"
            or line.deleted
            or not self._matches_filters(line)
        ):
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

    def _matches_filters(self, line: Message) -> bool:
        search = self._search
        return (
            (search.author is None or fold(search.author) == fold(line.author))
            and (search.before is None or line.ts < search.before)
            and (search.after is None or line.ts >= search.after)
            and (search.has is None or has_link(line.text))
        )


def raw_of(terms: Sequence[Term]) -> tuple[str, str]:
    """Return two texts; the JSON of each line with the words of `terms` contains one of them.

    Compare them ignoring ASCII case. Non-ASCII text is escaped in the JSON and may fold to any
    word; ASCII text contains the words themselves.
    """
    words = [word for term in terms for word in term.words]
    if all(word.isascii() for word in words):
        return max(words, key=len, default=""), _ESCAPE
    return _ESCAPE, _ESCAPE


def _within(marks: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, ...]:
    """Return the marks inside a snippet, as offsets in it."""
    within = ((first, last) for first, last in marks if first >= start and last <= end)
    return tuple(offset - start for mark in within for offset in mark)
