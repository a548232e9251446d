"""One log as the client knows it, and how events, pages, and `joined` change it. Pure.

The rules:

- An event that is `position` + 1 applies; one at or below the position was applied before; one
  further up is held until what is missing has been read (`needs_repair`).
- An edit, a deletion, a reaction or a pin changes its target's line unless it is at or below the
  line's `rev`: then it is in there already.
- What was received while a page was on its way is applied to the page's lines again, so a page
  that is older than the events around it does harm to nothing.
- A position that the server does not know is no position: every line is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chat.client.model.coverage import Coverage
from chat.client.model.fold import SHOWN_KINDS, fold, message_of
from chat.client.model.state import Message
from chat.errors import ChatError
from chat.protocol.limits import FOLDED_KINDS
from chat.text import fold as fold_name

if TYPE_CHECKING:
    from chat.protocol.commands import ResumeFrom
    from chat.protocol.frames import Joined, Page
    from chat.protocol.items import Event, Item

__all__ = ["PAGE_PAUSE", "VAIN_PAUSE", "BrokenLog", "Change", "LogView"]

VAIN_PAUSE = 1.0
"""Seconds until a log is read again after a page that brought nothing."""
PAGE_PAUSE = 0.025
"""Seconds between two pages of a log: more often than a server lets anybody read lastingly, and
seldom enough that one whose log never ends costs next to nothing."""
_HELD_MAX = 1_000
_HELD_WEIGHT = 4_000_000
_RECENT_MAX = 50_000
_RECENT_WEIGHT = 16_000_000


class BrokenLog(ChatError):
    """The server's log has a hole or is out of order: it does not keep its promise."""


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of a received frame.

    Args:
        lines: lines that are new or changed, in timeline order.
        entries: what was applied for the first time, in order.
        reset: the lines are all there is: what was known before is gone.
    """

    lines: tuple[Message, ...] = ()
    entries: tuple[Item | Event, ...] = ()
    reset: bool = False


class LogView:
    """A channel's log as far as this client knows it.

    Lines live elsewhere (on disk). Changed ones gather in `changed` until somebody has stored them
    and takes them out.

    Args:
        channel: its name.
        me: whose view it is.
        stored: looks a stored line up by its seq.
        forgotten: called when all stored lines are those of another log, and must not be found.
    """

    def __init__(
        self,
        channel: str,
        me: str,
        stored: Callable[[int], Message | None] = lambda _: None,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        self.channel = channel
        self.me = me
        self._stored = stored
        self._forgotten = forgotten
        self.changed: dict[int, Message] = {}
        self.coverage = Coverage()
        self.epoch = ""
        self.position = 0
        self.mid: str | None = None
        self.head = 0
        self.marked_in = ""
        """The epoch of the log that the marker is in."""
        self.read = 0
        self.unread = 0
        self.mentions = 0
        self.is_doubtful = False
        """Whether the two counts missed something: a change of a line that is not known."""
        self._counted = 0  # events up to here are in the two counts
        self._held: dict[int, Event] = {}
        self._asked = 0  # pages on their way
        self._recent_weight = 0
        self._recent: list[
            Item | Event
        ] = []  # folded kinds received since the oldest of them was asked

    # What is known

    @property
    def resume(self) -> ResumeFrom | None:
        """The position to tell the server, if there is one."""
        from chat.protocol.commands import ResumeFrom  # here: a page from disk needs none

        if not self.epoch:
            return None
        return ResumeFrom(epoch=self.epoch, after=self.position, mid=self.mid)

    @property
    def needs_repair(self) -> bool:
        """Whether the log goes on beyond what was received."""
        return bool(self._held) or self.head > self.position

    def line(self, seq: int) -> Message | None:
        """Return the line of `seq`, if it is known and shows."""
        return self.changed.get(seq) or self._stored(seq)

    def is_in_place(self, seq: int) -> bool:
        """Whether nothing is missing around `seq`: not so, where only a thread was read."""
        return seq > self.position or self.coverage.around(seq) is not None

    # What is received

    def apply_event(self, event: Event) -> Change:
        """Take a live event."""
        self.head = max(self.head, event.seq)
        if event.seq <= self.position:
            return Change(lines=self._absorb(event))
        if event.seq > self.position + 1:
            if len(self._held) < _HELD_MAX:
                weight = sum(map(_weight_of, self._held.values())) + _weight_of(event)
                if weight <= _HELD_WEIGHT:
                    self._held[event.seq] = event
            return Change()
        return self._advance([event])

    def apply_joined(self, joined: Joined) -> Change:
        """Take the start of following: what was missed, or the newest page instead of it."""
        reset = not joined.recovered or joined.epoch != self.epoch
        if reset:
            self.meet(joined.epoch, joined.head)
            self.forget()
            self.epoch = joined.epoch
        self.head = max(self.head, joined.head)
        self.apply_counts(joined.read, joined.unread, joined.mentions, joined.head)
        if not reset:
            return self._follow_on(joined.items, joined.complete, joined.head)
        self._check_order(joined.items, 1, joined.head)
        lines = tuple(line for item in joined.items for line in self._absorb(item))
        last = joined.items[-1].seq if joined.items else 0
        self.position = joined.head if joined.complete else last
        self.mid = joined.items[-1].mid if last and last == self.position else None
        if joined.items:
            self.coverage.add(joined.items[0].seq, self.position)
        return Change(lines=lines, entries=joined.items, reset=True)

    def apply_after(self, page: Page) -> Change:
        """Take the answer to `history after`: every event from there on."""
        self.head = max(self.head, page.head)
        before = self.position
        change = self._follow_on(page.items, page.complete, page.head)
        if self.position == before and not page.complete:
            raise BrokenLog(f"{self.channel}: a page does not go before {before}")
        if page.complete:  # a head told before that is further up was not true
            self.head = max((self.position, *self._held))
        return change

    def apply_before(self, page: Page, before: int) -> Change:
        """Take the answer to `history before`: older lines as they were at the page's head."""
        if not page.items and not page.complete:
            raise BrokenLog(f"{self.channel}: an empty page that is not the last one")
        self._check_order(page.items, 1, before - 1)
        for item in page.items:
            self._absorb(item)
        for event in self._recent:
            if event.seq > page.head:
                self._fold(event)
        first = 1 if page.complete else page.items[0].seq
        self.coverage.add(first, before - 1)
        found = (self.line(item.seq) for item in page.items)
        return Change(lines=tuple(line for line in found if line is not None))

    def apply_thread(self, page: Page) -> tuple[Message, ...]:
        """Take a page of a thread, out of the log's order; return its lines as they are now.

        Entries beyond the position are left out: they arrive as events.
        """
        items = [item for item in page.items if item.seq <= self.position]
        for item in items:
            self._absorb(item)
        for event in self._recent:
            if event.seq > page.head:
                self._fold(event)
        found = (self.line(item.seq) for item in items)
        return tuple(line for line in found if line is not None)

    def apply_head(self, head: int) -> None:
        """Take a head that a heartbeat tells."""
        self.head = max(self.head, head)

    # The read marker

    def meet(self, epoch: str, head: int) -> None:
        """Take the epoch and the head of the server's log; forget all of another log.

        A database that was copied back by hand keeps its epoch, but its head may be behind.
        """
        is_other = self.marked_in not in ("", epoch) or max(self.read, self.position) > head
        self.marked_in = epoch
        if is_other:
            self.forget()
            self.apply_mark(0, 0, 0)

    def apply_counts(self, read: int, unread: int, mentions: int, head: int) -> None:
        """Take a marker as the server knows it, and the counts above it, as of `head`.

        One that is behind one's own says nothing: the server will hear of ours. Counts of a log
        that is known further here are doubtful: they lack what has come since.
        """
        if read < self.read:
            return
        self.read, self.unread, self.mentions = read, unread, mentions
        self.is_doubtful = head < self.position
        self._counted = max(head, self.position)

    def apply_mark(self, read: int, unread: int, mentions: int) -> None:
        """Take one's own marker, and what was counted above it here."""
        self.read, self.unread, self.mentions = read, unread, mentions
        self.is_doubtful = False

    def take_marker(self, epoch: str, read: int, unread: int, mentions: int) -> None:
        """Take a marker in the log `epoch` if it is further; `meet` verifies the log."""
        if read > self.read and self.epoch in ("", epoch):
            self.marked_in = epoch
            self.apply_mark(read, unread, mentions)

    @property
    def is_countable(self) -> bool:
        """Whether every line above the marker is known."""
        span = self.coverage.around(self.position)
        return self.read >= self.position or (span is not None and span[0] <= self.read + 1)

    def restore(self, epoch: str, position: int, mid: str | None, coverage: Coverage) -> None:
        """Start from what was left on disk."""
        self.epoch, self.position, self.mid = epoch, position, mid
        self.marked_in = epoch
        self.coverage = coverage
        self.head = self._counted = self.position

    # Pages on their way

    def asked(self) -> None:
        """A page of older lines was asked for: keep what changes lines until it is here."""
        self._asked += 1

    def answered(self) -> None:
        """The page is here and applied, or will never come."""
        self._asked -= 1
        if not self._asked:
            self._recent.clear()
            self._recent_weight = 0

    def detach(self) -> None:
        """The connection is gone, and what was held with it: it will be read again."""
        self._held.clear()
        self.head = self.position

    def forget(self) -> None:
        """Forget every line and the position; the read marker stays."""
        if self.epoch:
            self._forgotten()
        self.changed.clear()
        self.coverage = Coverage()
        self.epoch, self.position, self.mid, self.head = "", 0, None, 0
        self._counted = 0
        self._held.clear()
        self._recent.clear()
        self._recent_weight = 0

    # Within

    def _follow_on(self, items: Sequence[Item], complete: bool, head: int) -> Change:
        known = [item for item in items if item.seq <= self.position]
        change = self._advance(items[len(known) :])
        if complete and self.position < head:
            raise BrokenLog(f"{self.channel}: the log ends at {self.position}, its head is {head}")
        if not complete and not items:
            raise BrokenLog(f"{self.channel}: an empty page that is not the last one")
        again = tuple(line for item in known for line in self._absorb(item))
        return replace(change, lines=_in_order((*again, *change.lines)))

    def _advance(self, entries: Sequence[Item | Event]) -> Change:
        """Apply what follows the position, then what was held for after it."""
        lines: list[Message] = []
        applied: list[Item | Event] = []
        waiting = iter(entries)
        while entry := next(waiting, None) or self._held.pop(self.position + 1, None):
            if entry.seq != self.position + 1:
                raise BrokenLog(
                    f"{self.channel}: event {entry.seq} follows {self.position}; events "
                    "between them are missing"
                )
            lines += self._absorb(entry)
            self.position, self.mid = entry.seq, entry.mid
            self.coverage.add(entry.seq, entry.seq)
            self._counted = max(self._counted, entry.seq)
            applied.append(entry)
        self.head = max(self.head, self.position)
        for seq in [seq for seq in self._held if seq <= self.position]:
            del self._held[seq]
        return Change(lines=_in_order(lines), entries=tuple(applied))

    def _absorb(self, entry: Item | Event) -> tuple[Message, ...]:
        """Put `entry` where it belongs; return the line it made or changed, if it did."""
        if entry.kind in FOLDED_KINDS:
            if self._asked:
                self._recent.append(entry)
                self._recent_weight += _weight_of(entry)
                if len(self._recent) > _RECENT_MAX or self._recent_weight > _RECENT_WEIGHT:
                    raise BrokenLog(f"{self.channel}: too many changes before a page arrives")
            return self._fold(entry)
        if entry.kind not in SHOWN_KINDS:
            return ()
        new, old = message_of(self.channel, entry), self.line(entry.seq)
        if old is not None and entry.seq > self.position:
            # Read with a thread, or stored by another client on this file: new in this place.
            self.is_doubtful |= entry.seq > self._counted
            new = max(new, old, key=lambda line: line.rev)
        elif old is not None and old.rev >= new.rev:
            return ()
        self._put(entry.seq, old, new, counts=entry.seq > self._counted)
        return (new,)

    def _fold(self, change: Item | Event) -> tuple[Message, ...]:
        if change.target is None:
            return ()
        counts = change.seq > self._counted
        old = self.line(change.target)
        new = fold(old, change, self.me) if old is not None else None
        if new is old or old is None or new is None:
            self.is_doubtful |= counts and _counts(change) and change.target > self.read
            return ()
        self._put(change.target, old, new, counts=counts)
        return (new,)

    def _put(self, seq: int, old: Message | None, new: Message, *, counts: bool) -> None:
        self.changed[seq] = new
        if counts:
            was, mentioned = self._weight(old)
            now, mentions = self._weight(new)
            self.unread = max(0, self.unread + now - was)
            self.mentions = max(0, self.mentions + mentions - mentioned)

    def _weight(self, line: Message | None) -> tuple[int, int]:
        """Return what `line` adds to unread and mentions."""
        if line is None or line.kind != "message" or line.deleted or (line.seq or 0) <= self.read:
            return 0, 0
        me = fold_name(self.me)
        if fold_name(line.author) == me:
            return 0, 0
        return 1, int(any(fold_name(name) == me for name in line.mentions))

    def _check_order(self, items: Iterable[Item], lowest: int, highest: int) -> None:
        expected = lowest
        for item in items:
            if not expected <= item.seq <= highest:
                raise BrokenLog(f"{self.channel}: a page holds {item.seq} out of order")
            expected = item.seq + 1


def _weight_of(entry: Item | Event) -> int:
    """Return about how many characters an entry holds."""
    return len(entry.text or "") + 64 * len(entry.mentions)


def _counts(change: Item | Event) -> bool:
    """Whether it may change what is unread."""
    return change.kind in ("edit", "delete")


def _in_order(lines: Iterable[Message]) -> tuple[Message, ...]:
    """Return each line once, as it is last, in timeline order."""
    latest = {line.seq or 0: line for line in lines}
    return tuple(latest[seq] for seq in sorted(latest))
