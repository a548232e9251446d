"""A search among the lines on this computer, for when there is no server to ask.

What is typed means the same there: words, all of which a message must have, "phrases" and
begin*, without regard to capitals and accents; of Chinese, Japanese and Korean any part of a word.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from unicodedata import normalize

from chat.client.account import Account
from chat.client.followed import Followed
from chat.client.state import Message
from chat.protocol.commands import Search
from chat.protocol.frames import Hit, Results
from chat.text import fold

__all__ = ["MOST", "Looking", "look_here"]

MOST = 200
"""Hits that are found at most: the newest."""
_PAGE = 200
"""Lines that are looked at without a pause."""

_PIECE = re.compile(r'"(?P<phrase>[^"]*)"?(?P<star>\*?)|(?P<word>[^\s"]+)')
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
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
            lines, before = account.lines_before(channel, before, _PAGE)
            hits += filter(None, map(looking.hit, reversed(lines)))
            await asyncio.sleep(0)  # who types, and the heartbeat, come first
    return hits


class Looking:
    """Tells what of a channel's lines `search` finds."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._terms = [
            re.compile(pattern)
            for piece in _PIECE.finditer(_plain(search.query))
            if (pattern := _pattern(piece))
        ]

    def wants(self, channel: str) -> bool:
        """Whether there can be hits in a channel."""
        return self._search.channel is None or fold(self._search.channel) == fold(channel)

    def hit(self, line: Message) -> Hit | None:
        """Return what is found of a line, if anything."""
        if line.seq is None or line.kind != "message" or line.erased or not self._is_meant(line):
            return None
        text = _plain(line.text)
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


def _pattern(piece: re.Match[str]) -> str:
    """Return what finds a word, a phrase or a beginning; nothing if it holds signs alone."""
    written = piece["phrase"] if piece["word"] is None else piece["word"]
    words = _WORD.findall(written)
    if not words:
        return ""
    goes_on = bool(piece["star"]) or (piece["word"] or "").endswith("*")
    first, last = words[0][0], words[-1][-1]
    begin = "" if _UNSPACED.match(first) else r"(?<![^\W_])"
    end = r"[^\W_]*" if goes_on else "" if _UNSPACED.match(last) else r"(?![^\W_])"
    return begin + r"[\W_]+".join(map(re.escape, words)) + end


def _within(marks: list[tuple[int, int]], start: int, end: int) -> tuple[int, ...]:
    """Return the marks that lie in a piece, as places in it; those that overlap count once."""
    found: list[int] = []
    for first, last in marks:
        if first >= max(start, start + (found[-1] if found else 0)) and last <= end:
            found += [first - start, last - start]
    return tuple(found)


def _plain(text: str) -> str:
    """Return `text` without capitals and accents; each character keeps its place."""
    return text.lower() if text.isascii() else "".join(map(_letter, text))


@lru_cache(maxsize=4_096)
def _letter(char: str) -> str:
    return normalize("NFD", char)[0].lower()[0]
