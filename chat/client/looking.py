"""A search among the lines on this computer, for when there is no server to ask.

What is typed means the same there: words, all of which a message must have, "phrases" and
begin*, without regard to capitals and accents; of Chinese, Japanese and Korean any part of a word.
"""

from __future__ import annotations

import asyncio
import re

from chat.client.account import Account
from chat.client.followed import Followed
from chat.client.state import Message
from chat.client.words import pattern_of, plain, raw_of, words_in
from chat.protocol.commands import Search
from chat.protocol.frames import Hit, Results
from chat.text import fold

__all__ = ["MOST", "Looking", "look_here"]

MOST = 200
"""Hits that are found at most: the newest."""
_PAGE = 500
"""Numbers of lines that are looked at without a pause."""

_PIECE = re.compile(r'"(?P<phrase>[^"]*)"?(?P<star>\*?)|(?P<word>[^\s"]+)')
_LINK = re.compile(r"https?://[^\s<>]", re.IGNORECASE)
_SNIPPET, _BEFORE = 240, 60


async def look_here(account: Account, search: Search) -> Results:
    """Find messages in what is at hand of one's channels, newest first, `MOST` of them."""
    looking = Looking(search)
    hits: list[Hit] = []
    for channel in list(account.channels.values()):
        if channel.is_member and looking.wants(channel.name):
            hits += await _look_through(account, channel, looking)
    newest = sorted(hits, key=lambda hit: hit.ts, reverse=True)[:MOST]
    return Results(hits=tuple(newest), complete=True)


async def _look_through(account: Account, channel: Followed, looking: Looking) -> list[Hit]:
    hits: list[Hit] = []
    for first, last in reversed(channel.view.coverage.spans):
        before = last + 1
        while before > first and len(hits) < MOST:
            start = max(first, before - _PAGE)
            lines = account.lines_with(channel, range(start, before), looking.raw)
            hits += filter(None, map(looking.hit, reversed(lines)))
            before = start
            await asyncio.sleep(0)  # who types, and the heartbeat, come first
    return hits


class Looking:
    """Tells what of a channel's lines `search` finds.

    Attributes:
        raw: one of these is in the JSON of each line that is found, see `words.raw_of`.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        pieces = list(_PIECE.finditer(plain(search.query)))
        self._terms = [re.compile(pattern) for each in pieces if (pattern := _pattern(each))]
        self.raw = raw_of([word for each in pieces for word in _words(each)])

    def wants(self, channel: str) -> bool:
        """Whether there can be hits in a channel."""
        return self._search.channel is None or fold(self._search.channel) == fold(channel)

    def hit(self, line: Message) -> Hit | None:
        """Return what is found of a line, if anything."""
        if line.seq is None or line.kind != "message" or line.erased or not self._is_meant(line):
            return None
        text = plain(line.text)
        found = [list(term.finditer(text)) for term in self._terms]
        if not all(found):
            return None
        marks = sorted(match.span() for matches in found for match in matches)
        start = max(marks[0][0] - _BEFORE, 0) if marks and len(text) > _SNIPPET else 0
        end = start + _SNIPPET
        return Hit(
            channel=line.channel,
            seq=line.seq,
            ts=line.ts,
            author=line.author,
            me=line.me,
            snippet=line.text[start:end],
            marks=_within(marks, start, end),
        )

    def _is_meant(self, line: Message) -> bool:
        search = self._search
        return (
            (search.author is None or fold(search.author) == fold(line.author))
            and (search.before is None or line.ts < search.before)
            and (search.after is None or line.ts >= search.after)
            and (search.has is None or _LINK.search(line.text) is not None)
        )


def _words(piece: re.Match[str]) -> list[str]:
    return words_in(piece["phrase"] if piece["word"] is None else piece["word"])


def _pattern(piece: re.Match[str]) -> str:
    """Return what finds a word, a phrase or a beginning; nothing if it holds signs alone."""
    goes_on = bool(piece["star"]) or (piece["word"] or "").endswith("*")
    words = _words(piece)
    return pattern_of(words, goes_on=goes_on) if words else ""


def _within(marks: list[tuple[int, int]], start: int, end: int) -> tuple[int, ...]:
    """Return the marks that lie in a piece, as places in it; those that overlap count once."""
    found: list[int] = []
    for first, last in marks:
        if first >= max(start, start + (found[-1] if found else 0)) and last <= end:
            found += [first - start, last - start]
    return tuple(found)
