"""The chat's Markdown: blocks, inline spans, and links.

Emphasis, strike, code, links, quotes and fences; no headings, tables, images or HTML, no entities:
whatever is not recognized stays as it was typed. Every pass is linear in the length of the text,
however it is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntFlag
from itertools import groupby
from typing import Literal, NamedTuple
from unicodedata import normalize
from urllib.parse import urlsplit

from chat.links import destination, is_link, link_end
from chat.text import fold

__all__ = [
    "SHOWN_MAX",
    "Block",
    "Mark",
    "Span",
    "blocks",
    "gist",
    "inline",
    "links_of",
    "plain_text",
]

SHOWN_MAX = 50_000
"""Maximum characters of a message to lay out; they take the screens' thread 0.1 s."""
_GIST = 400
"""Characters of a message that `gist` reads."""


class Mark(IntFlag):
    """Formatting of a span of text; flags can be combined."""

    NONE = 0
    BOLD = 1
    ITALIC = 2
    STRIKE = 4
    CODE = 8
    LINK = 16
    MENTION = 32
    ME = 64  # a mention of the reader
    CHANNEL = 128
    ASIDE = 256  # added to the author's text: the target of a link


class Span(NamedTuple):
    """Text with its formatting; a link has its `url`."""

    text: str
    marks: Mark = Mark.NONE
    url: str = ""


class Block(NamedTuple):
    """Consecutive lines of one kind; `info` is the language after the opening fence of code."""

    kind: Literal["text", "quote", "code"]
    text: str
    info: str = ""


_FENCE = re.compile(r" {0,3}(`{3,}+|~{3,}+)[ ]*+([\w+#.\-]*+)[^`]*+$")
_QUOTE = re.compile(r" {0,3}>[ ]?")
_BLANKS = re.compile(r"\n(?:[ ]*\n){3,}")


def blocks(text: str) -> list[Block]:
    """Split a message into text, quotes and fenced code; an unclosed fence ends with the message.

    Text beyond `SHOWN_MAX` characters is omitted.
    """
    found: list[Block] = []
    kind: Literal["text", "quote"] = "text"
    gathered: list[str] = []

    def finish() -> None:
        if body := "\n".join(gathered).strip("\n"):
            found.append(Block(kind, _BLANKS.sub("\n\n\n", body)))
        gathered.clear()

    lines = iter(text[:SHOWN_MAX].split("\n"))
    for line in lines:
        if fence := _FENCE.match(line):
            finish()
            found.append(_fenced(lines, fence[1], fence[2]))
            continue
        quote = _QUOTE.match(line)
        if (quote is not None) != (kind == "quote"):
            finish()
            kind = "quote" if quote else "text"
        gathered.append(line[quote.end() :] if quote else line)
    finish()
    return found


def _fenced(lines: Iterator[str], fence: str, info: str) -> Block:
    code: list[str] = []
    for line in lines:
        closing = line.strip()
        if len(closing) >= len(fence) and not closing.strip(fence[0]):
            break
        code.append(line)
    return Block("code", "\n".join(code), info)


_TOKEN = re.compile(
    r"""
      (?P<escape>  \\[!-/:-@\[-`{-~] )
    | (?P<ticks>   `+ )
    | (?P<link>    \[ (?P<label> (?: [^\[\]\n] | \[ [^\[\]\n]{0,100}+ \] ){1,400}+ ) \]
                   \( (?P<target> (?:https?://|mailto:)
                       (?: [^\s()<>] | \( (?: [^\s()<>] | \([^\s()<>]*+\) )*+ \) )++ ) \) )
    | (?P<url>     (?<![A-Za-z0-9]) https?:// )
    | (?P<mention> (?<![A-Za-z0-9_.\-@/]) @[A-Za-z0-9_.\-]+ )
    | (?P<channel> (?<![A-Za-z0-9_.\-@/&\#]) \#[A-Za-z0-9_.\-]*[A-Za-z][A-Za-z0-9_.\-]* )
    | (?P<run>     \*+ | _+ | ~+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(slots=True)
class _Part:
    """A span, or a run of emphasis characters that may open or close."""

    text: str
    marks: Mark = Mark.NONE
    url: str = ""
    opens: bool = False
    closes: bool = False
    opened: list[Mark] = field(default_factory=list)
    closed: list[Mark] = field(default_factory=list)


def inline(text: str, user: str = "") -> list[Span]:
    """Parse the formatting of a text, line breaks included; mark mentions of `user`, the reader."""
    parts = _scan(text, fold(user))
    _pair(parts)
    return _sweep(parts)


def gist(text: str) -> str:
    """Return the start of a message as plain text; skip quotes and code if it has other text."""
    found = blocks(text[:_GIST])
    begins = next((block for block in found if block.kind == "text"), found[0] if found else None)
    if begins is None:
        return ""
    if begins.kind == "code":
        return begins.text
    return plain_text(begins.text)


def plain_text(text: str) -> str:
    """Return the text without inline Markdown characters."""
    return "".join(span.text for span in inline(text) if Mark.ASIDE not in span.marks)


def _scan(text: str, user: str) -> list[_Part]:
    """Split text into spans and runs of emphasis characters, from left to right."""
    parts: list[_Part] = []
    ticks = _tick_runs(text)
    position = plain = 0
    while match := _TOKEN.search(text, position):
        kind = match.lastgroup
        start, end = match.span()
        if kind == "ticks":
            close = _closing_ticks(ticks, end - start, end)
            found = [_code(text[end:close])] if close >= 0 else []
            end = close + (end - start) if found else end
        elif kind == "run":
            found = [_run(text, start, end)]
        else:
            found, end = _special(kind or "", match, user)
        if found:
            if plain < start:
                parts.append(_Part(text[plain:start]))
            parts.extend(found)
            plain = end
        position = end
    if plain < len(text):
        parts.append(_Part(text[plain:]))
    return parts


def _special(kind: str, match: re.Match[str], user: str) -> tuple[list[_Part], int]:
    """Return the parts of an escape, link, mention or channel, and its end."""
    whole, start = match[0], match.start()
    if kind == "escape":
        return [_Part(whole[1])], match.end()
    if kind == "mention" or kind == "channel":
        name = whole.rstrip(".-")
        if len(name) < 2:
            return [], match.end()
        mark = Mark.CHANNEL if kind == "channel" else Mark.MENTION
        if mark is Mark.MENTION and user in (fold(name[1:]), fold(whole[1:])):
            mark |= Mark.ME
        return [_Part(name, mark)], start + len(name)
    if kind == "url":
        end = link_end(match.string, start)
        return (_link(match.string[start:end]), end) if end > start else ([], match.end())
    if is_link(match["target"]):
        return _link(match["target"], match["label"]), match.end()
    return [], start + 1


def _link(url: str, label: str = "") -> list[_Part]:
    """Return a link and, unless the label is the address, its target: a label must not mislead.

    A label that looks like another address is followed by the whole target, any other label by
    the host. An address with a user name (`https://good.example@bad.example`) also gets its host.
    """
    label = label or url
    parts = [_Part(label, Mark.LINK, url)]
    is_plain = _bare(label) == _bare(url)
    if not is_plain and _LIKE_ADDRESS.search(normalize("NFKC", label)):
        parts.append(_Part(f" ‹{url}›", Mark.ASIDE))
    elif not is_plain or "@" in urlsplit(url).netloc:
        parts.append(_Part(f" ‹{destination(url)}›", Mark.ASIDE))
    return parts


_SCHEME = re.compile(r"https?://|mailto:", re.IGNORECASE)
_LIKE_ADDRESS = re.compile(r":/|@|[^\s.。][.。][^\W\d_]")


def _bare(address: str) -> str:
    """Return an address without its scheme and its final slash, for comparison."""
    return _SCHEME.sub("", address.strip()).removesuffix("/")


def _tick_runs(text: str) -> dict[int, list[int]]:
    """Return the positions of the runs of backticks by length, the last position first."""
    runs: dict[int, list[int]] = {}
    for match in re.finditer("`+", text):
        runs.setdefault(len(match[0]), []).append(match.start())
    for positions in runs.values():
        positions.reverse()
    return runs


def _closing_ticks(runs: dict[int, list[int]], length: int, after: int) -> int:
    """Return the position of the next run of the same length, or -1; drop earlier positions."""
    positions = runs.get(length, [])
    while positions and positions[-1] < after:
        positions.pop()
    return positions[-1] if positions else -1


def _code(text: str) -> _Part:
    text = text.replace("\n", " ")
    if text.startswith(" ") and text.endswith(" ") and text.strip():
        text = text[1:-1]
    return _Part(text, Mark.CODE)


def _is_punctuation(char: str) -> bool:
    return not (char.isalnum() or char.isspace())


def _run(text: str, start: int, end: int) -> _Part:
    """Return a run of emphasis characters; CommonMark's rules say whether it may open or close."""
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    left = not after.isspace() and (
        not _is_punctuation(after) or before.isspace() or _is_punctuation(before)
    )
    right = not before.isspace() and (
        not _is_punctuation(before) or after.isspace() or _is_punctuation(after)
    )
    if text[start] == "_":
        opens = left and (not right or _is_punctuation(before))
        closes = right and (not left or _is_punctuation(after))
    else:
        opens, closes = left, right
    return _Part(text[start:end], opens=opens, closes=closes)


def _pair(parts: list[_Part]) -> None:
    """Match opening and closing runs; unmatched characters of a run stay text."""
    openers: list[_Part] = []
    floor: dict[str, int] = {}  # by character: lower openers do not match
    for part in parts:
        if not (part.opens or part.closes):
            continue
        char = part.text[0]
        least = 2 if char == "~" else 1
        while part.closes and len(part.text) >= least:
            at = len(openers) - 1
            bottom = floor.get(char, 0)
            while at >= bottom and not openers[at].text.startswith(char):
                at -= 1
            if at < bottom:
                floor[char] = len(openers)
                break
            del openers[at + 1 :]
            for other, height in floor.items():
                floor[other] = min(height, len(openers))
            _join(openers[at], part)
            if len(openers[at].text) < least:
                del openers[at]
                floor = {other: min(height, at) for other, height in floor.items()}
        if part.opens and len(part.text) >= least:
            openers.append(part)


def _join(opener: _Part, closer: _Part) -> None:
    strong = min(len(opener.text), len(closer.text)) >= 2
    used = 2 if strong else 1
    emphasis = Mark.BOLD if strong else Mark.ITALIC
    mark = Mark.STRIKE if opener.text[0] == "~" else emphasis
    opener.text, closer.text = opener.text[used:], closer.text[used:]
    opener.opened.append(mark)
    closer.closed.append(mark)


def _sweep(parts: list[_Part]) -> list[Span]:
    """Apply the matched emphasis to each span, and join adjacent spans with equal formatting."""
    spans = enumerate(_marked(parts))
    alike = groupby(spans, lambda each: (each[1].marks, each[0] if each[1].url else -1))
    found: list[Span] = []
    for _, group in alike:
        same = [span for _, span in group]
        found.append(Span("".join(span.text for span in same), same[0].marks, same[0].url))
    return found


def _marked(parts: list[_Part]) -> Iterator[Span]:
    depth = {Mark.BOLD: 0, Mark.ITALIC: 0, Mark.STRIKE: 0}
    for part in parts:
        for mark in part.closed:
            depth[mark] -= 1
        if part.text:
            marks = part.marks
            for mark, count in depth.items():
                if count:
                    marks |= mark
            yield Span(part.text, marks, part.url)
        for mark in part.opened:
            depth[mark] += 1


def links_of(text: str) -> list[str]:
    """Return the addresses of the links in a message, each once; code has no links."""
    spans = (span for block in blocks(text) if block.kind != "code" for span in inline(block.text))
    return list(dict.fromkeys(span.url for span in spans if span.url))
