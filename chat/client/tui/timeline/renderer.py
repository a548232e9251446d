"""Render a message as a block of styled lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from chat.client.model.describe import folded_ignored, happening
from chat.client.model.state import Delivery, Message
from chat.client.platform.local_time import local_time, moment
from chat.client.presenter.markdown import SHOWN_MAX, blocks, gist, inline
from chat.client.presenter.markdown import Block as Markup
from chat.client.tui.timeline.graphemes import TAB, sanitize, truncate
from chat.client.tui.timeline.layout import Line, Piece, flow, rule, segments
from chat.client.tui.timeline.neighbors import Neighbors
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.syntax import highlight
from chat.text import channel_title, fold

__all__ = ["Block", "Renderer", "event_sentence", "joins_line"]


_MOST = 8
_NAME = 64
_COURSES = {
    ("join", "join"): "joined",
    ("leave", "leave"): "left",
    ("join", "leave"): "joined and left",
    ("leave", "join"): "left and rejoined",
}


def event_sentence(message: Message) -> str:
    """Return one event as a sentence."""
    who, text = truncate(message.author, _NAME), message.text.replace("\n", " ")
    if message.kind == "topic" and message.deleted:
        return f"{who} set the topic (deleted)"
    if message.kind == "topic":
        return f"{who} set the topic: {text}" if text else f"{who} cleared the topic"
    if message.moderation is not None or message.kind == "settings":
        return happening(message, moment)
    if message.kind in ("join", "leave"):
        return joins_line([message])
    return " ".join(part for part in (who, truncate(message.kind, _NAME), text) if part)


def joins_line(messages: Sequence[Message]) -> str:
    """Return joins and leaves as one line: `alice, bob joined · carol left`."""
    courses: dict[str, tuple[str, str]] = {}
    for message in messages:
        first = courses.get(message.author, (message.kind, ""))[0]
        courses[message.author] = (first, message.kind)
    parts: list[str] = []
    for course, verb in _COURSES.items():
        names = [truncate(name, _NAME) for name, found in courses.items() if found == course]
        if names:
            parts.append(f"{_listed(names)} {verb}")
    return " · ".join(parts)


def _listed(names: list[str]) -> str:
    if len(names) > _MOST:
        return f"{', '.join(names[: _MOST - 1])} and {len(names) - _MOST + 1} others"
    return ", ".join(names)


_WIDE_GUTTER = 7
_NARROW_GUTTER = 2
_NARROW = 50
_WIDEST = 120

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


@dataclass(slots=True)
class Block:
    """The lines of one message.

    Args:
        lines: the lines from top to bottom; empty if another line shows the message.
        lead: number of lines above the message's text: rules, a blank line, the header. They depend
            on the neighbors, so positions in a block count from below them.
        time: the time of day, for the gutter.
        accent: whether a bar marks the message because it mentions the reader.
    """

    lines: list[Line] = field(default_factory=list)
    lead: int = 0
    time: str = ""
    accent: bool = False


@dataclass(frozen=True, slots=True)
class Renderer:
    """A renderer of blocks for one reader, width and palette.

    Args:
        palette: the styles.
        user: the reader, whose mentions and reactions are highlighted.
        width: width of the timeline in cells.
        airy: whether a blank line separates groups.
        thread: the root of the thread, in a thread view; replies to it are shown without a quote.
    """

    palette: Palette
    user: str
    width: int
    airy: bool
    thread: int | None = None

    @property
    def gutter(self) -> int:
        """Width in cells of the gutter at the left of the text."""
        return _WIDE_GUTTER if self.width >= _NARROW else _NARROW_GUTTER

    @property
    def column(self) -> int:
        """Width of the text in cells."""
        return max(4, min(_WIDEST, self.width - self.gutter - 1))

    def block(self, message: Message, near: Neighbors) -> Block:
        """Lay out one message."""
        if near.hidden:
            return Block()
        when = local_time(message.ts)
        block = Block(time=f"{when:%H:%M}", accent=self._is_for_me(message))
        block.lines = self._lead(message, near, when)
        if near.silent:
            block.lead = len(block.lines)
            return block
        is_folded = bool(near.folded) and message.kind == "message"
        has_header = message.kind == "message" and not message.me and not near.grouped
        if has_header and not is_folded:
            block.lines.append(self._header(message, block.time))
        block.lead = len(block.lines)
        if is_folded:
            block.accent = False
            block.lines += self._ignored(near, block.time)
        elif message.kind != "message":
            block.lines += self._event(message, near, block.time)
        else:
            block.lines += self._message(message, near)
            if message.me:
                block.lines[block.lead] = self._timed(block.lines[block.lead], block.time)
        return block

    def _is_for_me(self, message: Message) -> bool:
        me = fold(self.user)
        return (
            bool(me) and not message.deleted and any(fold(name) == me for name in message.mentions)
        )

    def _lead(self, message: Message, near: Neighbors, when: datetime) -> list[Line]:
        """Return the rules above a message, and the blank line between groups."""
        width, palette = self.column, self.palette
        lines: list[Line] = []
        if near.older:
            lines.append(rule("loading older messages…", width, palette["gap"], "┄"))
        if near.beginning and self.thread is None:
            title = truncate(channel_title(message.channel, self.user), width)
            text = f"This is the beginning of {title}."
            lines += flow([Piece(text, palette["muted"])], width)
        if self.airy and near.spaced:
            lines.append(Line())
        if near.gap:
            label = "loading missing messages…"
            lines.append(rule(label, width, palette["gap"], "┄"))
        if near.day:
            lines.append(rule(_day(when.date()), width, palette["rule"]))
        if near.unread:
            lines.append(rule("new", width, palette["new"]))
        return lines

    def _header(self, message: Message, time: str) -> Line:
        behind = f"  {time}" if self.gutter == _NARROW_GUTTER else ""
        name = truncate(message.author, max(1, self.column - len(behind)))
        style = self.palette.author(message.author)
        if fold(message.author) != fold(self.user):
            style += Style.from_meta({"action": "author"})
        pieces = [Piece(name, style), Piece(behind, self.palette["time"])]
        return self._timed(Line(*segments(pieces)), time)

    def pinned(self, message: Message, text: Line | None = None) -> Line:
        """Return the header to pin while the message's own is out of view; it is never copied.

        Args:
            message: the message.
            text: the row to show behind the header, as far as there is room.
        """
        header = self._header(message, f"{local_time(message.ts):%H:%M}")
        if text is None:
            return header._replace(ink=(), width=0, indent=header.ink, indent_width=header.width)
        between = "  " if self.gutter == _NARROW_GUTTER else ": "  # behind the time, or the name
        indent = *header.ink, Segment(between), *text.indent
        width = header.width + 2 + text.indent_width
        return text._replace(gutter=header.gutter, indent=indent, indent_width=width)

    def _timed(self, line: Line, time: str) -> Line:
        return line._replace(gutter=time)

    def _event(self, message: Message, near: Neighbors, time: str) -> list[Line]:
        if message.kind == "tick":
            lines = flow([Piece(message.text[:SHOWN_MAX], self.palette["tick"])], self.column)
        else:
            text = joins_line(near.folded) if near.folded else event_sentence(message)
            lines = flow([Piece(text, self.palette["event"])], self.column)
        lines[0] = self._timed(lines[0], time)
        return lines

    def _ignored(self, near: Neighbors, time: str) -> list[Line]:
        """Return the line that stands for messages of ignored users; a click shows them."""
        shows = Style.from_meta({"action": "show"})
        pieces = [
            Piece(folded_ignored(near.folded), self.palette["event"] + shows),
            Piece("  show", self.palette["quote"] + shows),
        ]
        lines = flow(pieces, self.column)
        lines[0] = self._timed(lines[0], time)
        return lines

    def _message(self, message: Message, near: Neighbors) -> list[Line]:
        """Return the lines of a message without those above it."""
        lines: list[Line] = []
        if message.reply_to not in (None, self.thread) and message.reply_to is not None:
            lines.append(self._quoted(message.reply_to, near.target))
        if message.deleted:
            lines += flow([Piece("message deleted", self.palette["muted"])], self.column)
        else:
            lines += self._body(message)
        if message.delivery is Delivery.FAILED:
            lines += self._failure(message)
        if message.reactions and not message.deleted:
            lines += self._reactions(message)
        if self.thread is not None and message.seq == self.thread:
            lines.append(rule(_counted(near.replies), self.column, self.palette["rule"]))
        elif near.replies and self.thread is None:
            lines.append(self._replies(near.replies, near.waiting))
        return lines

    def _replies(self, count: int, waiting: int) -> Line:
        """Return the line with the number of replies; a click on it opens the thread."""
        opens = Style.from_meta({"thread": True})
        pieces = [
            Piece("↳ ", self.palette["quote-bar"]),
            Piece(_counted(count), self.palette["quote"] + opens),
        ]
        if waiting:
            pieces.append(Piece(f" · {waiting:,} new", self.palette["new"] + opens))
        return Line(*segments(pieces))

    def _quoted(self, seq: int, target: Message | None) -> Line:
        """Return the line that quotes the message to which a reply belongs."""
        palette, room = self.palette, self.column - 2
        bar = Piece("┌ ", palette["quote-bar"])
        if target is None:
            return Line(*segments([bar, Piece(truncate(f"message {seq}", room), palette["quote"])]))
        text = "message deleted" if target.deleted else gist(target.text)
        name = truncate(target.author, room - 3)
        between = " " if target.me and not target.deleted else ": "
        words = truncate(text, room - cell_len(name + between))
        author = Piece(name, palette.author(target.author))
        return Line(*segments([bar, author, Piece(between + words, palette["quote"])]))

    def _body(self, message: Message) -> list[Line]:
        """Return the text, with remarks such as "(edited)" after it."""
        text = message.text[:SHOWN_MAX]
        markups = blocks(text.expandtabs(TAB)) or [Markup("text", "")]
        behind = self._behind(message)
        before: list[Piece] = []
        if message.me:
            before = [
                Piece("* ", self.palette["muted"]),
                Piece(sanitize(message.author), self.palette.author(message.author)),
                Piece(" "),
            ]
        lines: list[Line] = []
        for number, markup in enumerate(markups):
            last = number == len(markups) - 1 and markup.kind != "code"
            lines += self._markup(
                markup,
                before if not number and markup.kind == "text" else [],
                behind if last else [],
                pending=message.delivery is Delivery.PENDING,
            )
        if behind and markups[-1].kind == "code":
            lines.append(Line(*segments(behind)))
        return lines

    def _behind(self, message: Message) -> list[Piece]:
        muted = self.palette["muted"]
        pieces = [Piece(" (edited)", muted)] if message.edited else []
        if (more := len(message.text) - SHOWN_MAX) > 0:
            pieces.append(Piece(f" … ({more:,} more characters)", muted))
        if message.pinned:
            pieces.append(Piece(" (pinned)", muted))
        if message.delivery is Delivery.PENDING:
            pieces.append(Piece(" …", muted))
        return pieces

    def _markup(
        self, markup: Markup, before: list[Piece], behind: list[Piece], *, pending: bool
    ) -> list[Line]:
        palette = self.palette
        if markup.kind == "code":
            return self._code(markup)
        base = palette["muted"] if pending or markup.kind == "quote" else Piece("").style
        pieces = before + [
            Piece(span.text, base + palette.marked(span.marks, span.url))
            for span in inline(markup.text, self.user)
        ]
        bar = [Piece("▎ ", palette["quote-bar"])] if markup.kind == "quote" else []
        return flow(pieces + behind, self.column, indent=bar, hang=True)

    def _code(self, markup: Markup) -> list[Line]:
        ground = self.palette["code-block"]
        pieces = [
            Piece(text, ground + self.palette[f"code-{role}"] if role else ground)
            for text, role in highlight(sanitize(markup.text), markup.info)
        ]
        return flow(pieces, self.column, indent=[Piece(" ", ground)], fill=ground)

    def _failure(self, message: Message) -> list[Line]:
        reason = f"✗ not sent: {message.reason}" if message.reason else "✗ not sent"
        hint = self.palette["failed-hint"]
        return flow(
            [
                Piece(reason, self.palette["failed"]),
                Piece("   ", hint),
                Piece("r\xa0resend", hint + Style.from_meta({"action": "retry"})),
                Piece("  ", hint),
                Piece("x\xa0discard", hint + Style.from_meta({"action": "discard"})),
            ],
            self.column,
        )

    def _reactions(self, message: Message) -> list[Line]:
        """Return the reactions as chips; lines never break inside a chip."""
        me = fold(self.user)
        rows: list[list[Piece]] = []
        room = 0
        for reaction in message.reactions:
            emoji = reaction.emoji
            own = any(fold(name) == me for name in reaction.names)
            count = f"\xa0{reaction.count:,}\xa0"
            most = max(1, min(32, self.column - 1 - len(count)))
            label = truncate(emoji, most).replace(" ", "\xa0") or "?"
            style = self.palette["chip-own" if own else "chip"] + Style.from_meta({"emoji": emoji})
            chip = Piece(f"\xa0{label}{count}", style)
            width = cell_len(chip.text)
            if rows and width < room:
                rows[-1] += Piece(" "), chip
                room -= width + 1
            else:
                rows.append([chip])
                room = self.column - width
        lines = [Line(*segments(row)) for row in rows]
        return [lines[0], *(line._replace(join=" ") for line in lines[1:])]


def _counted(replies: int) -> str:
    match replies:
        case 0:
            return "no replies yet"
        case 1:
            return "1 reply"
    return f"{replies:,} replies"


def _day(day: date) -> str:
    text = f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]}"
    return text if day.year == date.today().year else f"{text} {day.year}"
