"""What is said aloud of what the core tells: each line once, joins and parts folded. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chat.client.spoken import people, spoken
from chat.client.state import Delivery, Message, TimelineChanged, counted_reactions, is_for
from chat.text import is_direct, printable_line

__all__ = ["Announcer"]

_KEPT_MAX = 500
_BACKLOG = 5
_AT_ONCE = 20
_NAMED_MAX = 5
"""Most people who are named when a message's reactions change."""


@dataclass(slots=True)
class _Heard:
    """What was said of one channel: the last number, and the latest lines for later changes."""

    last: int = 0
    lines: dict[int, Message] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


class Announcer:
    """Turns changes of timelines into lines to be said."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        """The cids of one's own messages that are neither confirmed nor refused."""
        self.refusals: list[str] = []
        """Those lines of the latest change that tell of a refusal by the server."""
        self._mine: set[str] = set()
        self._heard: dict[str, _Heard] = {}

    def newest(self, channel: str, unread: int = 0) -> list[str]:
        """Return the newest lines of a channel, for one who enters it; the unread ones at least."""
        heard = self._heard.get(channel, _Heard())
        messages = [line for line in heard.lines.values() if line.kind == "message"]
        count = max(_BACKLOG, min(unread, _AT_ONCE))
        return [f"{_number(line)}{spoken(line)}" for line in messages[-count:]]

    def last(self, channel: str) -> int:
        """Return the last number that was said of a channel."""
        return self._heard.get(channel, _Heard()).last

    def announce(self, change: TimelineChanged, only_for: str | None = None) -> list[str]:
        """Return what is to be said of a change; if `only_for` is given, of lines for that person.

        Lines that are not said are known all the same.
        """
        channel = change.channel
        is_first = channel not in self._heard and change.reset
        if is_first and not any(line.seq for line in change.upserts):
            return self._unsent(_Heard(), change.upserts)  # nothing is known of it yet
        heard = self._heard.setdefault(channel, _Heard())
        said = self._unsent(heard, change.upserts)
        lines = [line for line in change.upserts if line.seq is not None or line.kind == "tick"]
        new = [line for line in lines if line.seq is None or line.seq > heard.last]
        if not is_first:
            if only_for is None:
                said += _changes(channel, heard, lines)
            told = [line for line in new if (line.cid or "") not in self._mine]
            said += _told(channel, [line for line in told if _is_heard(line, only_for)])
        self._keep(heard, lines)
        return said

    def _unsent(self, heard: _Heard, lines: Iterable[Message]) -> list[str]:
        said: list[str] = []
        self.refusals = []
        for line in lines:
            cid = line.cid or ""
            if line.seq is not None:
                self.waiting.discard(cid)
            elif line.delivery is Delivery.PENDING:
                self._mine.add(cid)
                self.waiting.add(cid)
                heard.failed.discard(cid)
            elif line.delivery is Delivery.FAILED and cid not in heard.failed:
                heard.failed.add(cid)
                said.append(
                    f"Not sent in {line.channel}: {printable_line(line.text)[:60]}. "
                    f"{printable_line(line.reason)}. "
                    "/retry sends it again, /discard throws it away."
                )
                if cid in self.waiting or heard.last:  # not left over from another time
                    self.refusals.append(said[-1])
                self.waiting.discard(cid)
        return said

    def _keep(self, heard: _Heard, lines: Iterable[Message]) -> None:
        for line in lines:
            if line.delivery is Delivery.PENDING and line.seq in heard.lines:
                continue  # what one has just changed of it is said when the server has it
            if line.seq is not None:
                heard.lines[line.seq] = line
                heard.last = max(heard.last, line.seq)
                self._mine.discard(line.cid or "")
        if len(heard.lines) > 2 * _KEPT_MAX:
            newest = sorted(heard.lines)[-_KEPT_MAX:]
            heard.lines = {seq: heard.lines[seq] for seq in newest}


def _is_heard(line: Message, only_for: str | None) -> bool:
    return only_for is None or is_for(line, only_for)


def _number(line: Message) -> str:
    return f"{line.seq}. " if line.seq is not None else ""


def _place(channel: str) -> str:
    return "directly" if is_direct(channel) else f"in {printable_line(channel)}"


def _told(channel: str, new: list[Message]) -> list[str]:
    """Return new lines as they are said; a crowd of them by its number and its end."""
    said = _passages(channel, [line for line in new if line.kind in ("join", "leave")])
    lines = [line for line in new if line.kind not in ("join", "leave")]
    if len(lines) > _AT_ONCE:
        said.append(f"{len(lines) - _AT_ONCE} lines {_place(channel)} are left out here.")
    return said + [_said(channel, line) for line in lines[-_AT_ONCE:]]


def _said(channel: str, line: Message) -> str:
    if line.kind == "tick":
        return f"{channel}: {spoken(line)}"
    text = spoken(line)
    author = printable_line(line.author)
    if text.startswith(f"{author}:"):
        return f"{author} {_place(channel)}{text.removeprefix(author)}"
    return f"{text}, {_place(channel)}"


def _passages(channel: str, lines: list[Message]) -> list[str]:
    said = []
    for kind, verb in (("join", "joined"), ("leave", "left")):
        names = list(dict.fromkeys(line.author for line in lines if line.kind == kind))
        if names:
            some = ", ".join(map(printable_line, names[:3]))
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said.append(f"{some}{more} {verb} {printable_line(channel)}.")
    return said


def _changes(channel: str, heard: _Heard, lines: list[Message]) -> list[str]:
    """Return what has become of lines that were said before."""
    said = []
    for line in lines:
        old = heard.lines.get(line.seq or 0)
        if old is None or line.delivery is Delivery.PENDING or old.rev >= line.rev:
            continue
        if line.erased and not old.erased:
            said.append(f"Message {line.seq} {_place(channel)} was deleted.")
        elif line.text != old.text:
            said.append(f"Message {line.seq} was changed. {_said(channel, line)}")
        elif line.pinned != old.pinned:
            state = "pinned" if line.pinned else "not pinned any more"
            said.append(f"Message {line.seq} {_place(channel)} is {state}.")
        elif counted_reactions(line) != counted_reactions(old):
            marks = "; ".join(
                f"{printable_line(emoji)} {people(names[:_NAMED_MAX], count)}"
                for emoji, names, count in counted_reactions(line)
            )
            said.append(f"Reactions to {line.seq} {_place(channel)}: {marks or 'none'}.")
    return said
