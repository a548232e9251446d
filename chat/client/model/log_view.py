"""A channel's log on this client, and how events, pages and `joined` change it.

The rules:

- An event at `position` + 1 is applied; an event at or below the position was applied before; a
  later event is buffered until the missing events have been read (`needs_repair`).
- An edit, deletion, reaction or pin changes its target's line, unless its seq is at or below the
  line's `rev`: then the line already includes it.
- Changes that arrive while a page is pending are applied to the page's lines again, because the
  page may be older than they are.
- If the server does not know the client's position, the client forgets every line.
- `expire` erases the texts up to a seq; a page that is older than it gets its texts erased, too.
- Replies that are only in their thread, and messages of ignored users, do not count as unread in
  the channel. The former count in their thread, if the user follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chat.client.model.coverage import Coverage
from chat.client.model.fold import SHOWN_KINDS, fold, message_of, without_text
from chat.client.model.membership import FollowedThreads
from chat.client.model.state import Message
from chat.errors import ChatError
from chat.protocol.limits import FOLDED_KINDS
from chat.text import fold as fold_name

if TYPE_CHECKING:
    from chat.protocol.commands import ResumeFrom
    from chat.protocol.frames import Joined, Page
    from chat.protocol.items import Event, Item

__all__ = ["EMPTY_PAGE_PAUSE", "PAGE_PAUSE", "BrokenLog", "Change", "LogView"]

EMPTY_PAGE_PAUSE = 1.0
"""Seconds to wait before another request after a page without new entries."""
PAGE_PAUSE = 0.025
"""Seconds between two pages of a log.

Shorter than any server's rate limit allows in the long run, and long enough that a log that never
ends costs next to nothing.
"""
_BUFFER_MAX = 1_000
_BUFFER_WEIGHT = 4_000_000
_RECENT_MAX = 50_000
_RECENT_WEIGHT = 16_000_000


class BrokenLog(ChatError):
    """The server's log has a hole or is out of order: a protocol violation."""


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of a received frame.

    Args:
        lines: new or changed lines, in timeline order.
        entries: entries applied for the first time, in order.
        reset: whether `lines` replace all earlier lines.
        expired: all texts up to this seq were erased.
    """

    lines: tuple[Message, ...] = ()
    entries: tuple[Item | Event, ...] = ()
    reset: bool = False
    expired: int = 0


class LogView:
    """A channel's log as far as this client knows it.

    Lines are stored on disk; changed ones stay in `changed` until the account has stored them.

    Args:
        channel: the channel's name.
        me: the user's name.
        load_line: returns a stored line by its seq.
        on_forget: called when all stored lines belong to another log and must not be returned.
        on_expire: called with a seq and the seq of its `expire`: the texts of all stored messages
            up to it must be erased.
        is_ignored: whether the user ignores someone.
    """

    def __init__(
        self,
        channel: str,
        me: str,
        load_line: Callable[[int], Message | None] = lambda _: None,
        on_forget: Callable[[], None] = lambda: None,
        on_expire: Callable[[int, int], None] = lambda _, __: None,
        is_ignored: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.channel = channel
        self.me = me
        self._load_line = load_line
        self._on_forget = on_forget
        self._on_expire = on_expire
        self._is_ignored = is_ignored
        self.threads = FollowedThreads()
        """The threads that the user follows."""
        self.changed: dict[int, Message] = {}
        self.coverage = Coverage()
        self.epoch = ""
        self.position = 0
        self.mid: str | None = None
        self.head = 0
        self.marker_epoch = ""
        """The epoch of the log that the read marker is in."""
        self.read = 0
        self.unread = 0
        self.mentions = 0
        self.needs_recount = False
        """Whether the two counts may be wrong: a change of an unknown line was not counted."""
        self._counted = 0  # the two counts include events up to this seq
        self._expired = (0, 0)  # texts up to the first seq were erased by the event of the second
        self._buffered: dict[int, Event] = {}
        self._pages_pending = 0
        self._recent_weight = 0
        self._recent: list[
            Item | Event
        ] = []  # folded kinds received since the oldest of them was asked

    # State

    @property
    def resume(self) -> ResumeFrom | None:
        """The position to resume from, if there is one."""
        from chat.protocol.commands import ResumeFrom  # lazy: the first page does not need it

        if not self.epoch:
            return None
        return ResumeFrom(epoch=self.epoch, after=self.position, mid=self.mid)

    @property
    def needs_repair(self) -> bool:
        """Whether events after the position are missing."""
        return bool(self._buffered) or self.head > self.position

    def line(self, seq: int) -> Message | None:
        """Return the line at `seq`, if it is known and its kind is shown."""
        return self.changed.get(seq) or self._load_line(seq)

    def is_contiguous(self, seq: int) -> bool:
        """Whether the log around `seq` was read; false where only a thread was read."""
        return seq > self.position or self.coverage.around(seq) is not None

    def is_waiting(self, seq: int) -> bool:
        """Whether a line is an unread reply that is only in a thread, and the user follows it."""
        line = self.line(seq)
        if line is None or not line.thread_only or line.thread is None:
            return False
        thread = self.threads.get(line.thread)
        return thread.following and self.weight(line, thread.read)[0] > 0

    # Received frames

    def apply_event(self, event: Event) -> Change:
        """Apply a live event."""
        self.head = max(self.head, event.seq)
        if event.seq <= self.position:
            return Change(lines=self._apply_entry(event), expired=_expiry_of([event]))
        if event.seq > self.position + 1:
            if len(self._buffered) < _BUFFER_MAX:
                weight = sum(map(_weight_of, self._buffered.values())) + _weight_of(event)
                if weight <= _BUFFER_WEIGHT:
                    self._buffered[event.seq] = event
            return Change()
        return self._advance([event])

    def apply_joined(self, joined: Joined) -> Change:
        """Apply `joined`: the missed entries, or the newest page if the server could not resume."""
        reset = not joined.recovered or joined.epoch != self.epoch
        if reset:
            self.check_log(joined.epoch, joined.head)
            self.forget()
            self.epoch = joined.epoch
        self.head = max(self.head, joined.head)
        self.apply_counts(joined.read, joined.unread, joined.mentions, joined.head)
        if not reset:
            return self._apply_page(joined.items, joined.complete, joined.head)
        self._check_order(joined.items, 1, joined.head)
        lines = tuple(line for item in joined.items for line in self._apply_entry(item))
        last = joined.items[-1].seq if joined.items else 0
        self.position = joined.head if joined.complete else last
        self.mid = joined.items[-1].mid if last and last == self.position else None
        if joined.items:
            self.coverage.add(joined.items[0].seq, self.position)
        return Change(lines=lines, entries=joined.items, reset=True)

    def apply_after(self, page: Page) -> Change:
        """Apply the answer to `history after`."""
        self.head = max(self.head, page.head)
        before = self.position
        change = self._apply_page(page.items, page.complete, page.head)
        if self.position == before and not page.complete:
            raise BrokenLog(
                f"{self.channel}: the server sent a page that does not advance past {before}"
            )
        if page.complete:  # a higher head reported before was wrong
            self.head = max((self.position, *self._buffered))
        return change

    def apply_before(self, page: Page, before: int) -> Change:
        """Apply the answer to `history before`: older lines as of the page's head."""
        if not page.items and not page.complete:
            raise BrokenLog(
                f"{self.channel}: the server sent an empty page before the end of the log"
            )
        self._check_order(page.items, 1, before - 1)
        for item in page.items:
            self._apply_entry(item)
        for event in self._recent:
            if event.seq > page.head:
                self._fold(event)
        first = 1 if page.complete else page.items[0].seq
        self.coverage.add(first, before - 1)
        found = (self.line(item.seq) for item in page.items)
        return Change(lines=tuple(line for line in found if line is not None))

    def apply_thread(self, page: Page) -> tuple[Message, ...]:
        """Apply a page of a thread; return its current lines.

        Entries beyond the position are skipped: they arrive as events.
        """
        items = [item for item in page.items if item.seq <= self.position]
        for item in items:
            self._apply_entry(item)
        for event in self._recent:
            if event.seq > page.head:
                self._fold(event)
        found = (self.line(item.seq) for item in items)
        return tuple(line for line in found if line is not None)

    def apply_head(self, head: int) -> None:
        """Apply the head from a heartbeat."""
        self.head = max(self.head, head)

    # The read marker

    def check_log(self, epoch: str, head: int) -> None:
        """Compare the epoch and head of the server's log with the known ones; forget another log.

        A database restored by hand keeps its epoch, but its head may be lower.
        """
        is_other = self.marker_epoch not in ("", epoch) or max(self.read, self.position) > head
        self.marker_epoch = epoch
        if is_other:
            self.forget()
            self.apply_mark(0, 0, 0)
            self.threads.clear()

    def apply_counts(self, read: int, unread: int, mentions: int, head: int) -> None:
        """Apply the server's read marker and the counts above it, as of `head`.

        A marker below the local one is ignored: the server will get the local one. If the client
        knows more of the log than `head`, the counts need a recount.
        """
        if read < self.read:
            return
        self.read, self.unread, self.mentions = read, unread, mentions
        self.needs_recount = head < self.position
        self._counted = max(head, self.position)

    def apply_mark(self, read: int, unread: int, mentions: int) -> None:
        """Apply the local read marker and the counts above it."""
        self.read, self.unread, self.mentions = read, unread, mentions
        self.needs_recount = False

    def advance_marker(self, epoch: str, read: int, unread: int, mentions: int) -> None:
        """Apply a marker in the log `epoch` if it is further; `check_log` verifies the log."""
        if read > self.read and self.epoch in ("", epoch):
            self.marker_epoch = epoch
            self.apply_mark(read, unread, mentions)

    @property
    def is_countable(self) -> bool:
        """Whether every line above the read marker is known."""
        span = self.coverage.around(self.position)
        return self.read >= self.position or (span is not None and span[0] <= self.read + 1)

    def restore(self, epoch: str, position: int, mid: str | None, coverage: Coverage) -> None:
        """Restore the state that was stored on disk."""
        self.epoch, self.position, self.mid = epoch, position, mid
        self.marker_epoch = epoch
        self.coverage = coverage
        self.head = self._counted = self.position

    # Pending pages

    def page_requested(self) -> None:
        """Note that a page of older lines was requested; changes are recorded until it arrives."""
        self._pages_pending += 1

    def page_received(self) -> None:
        """Note that the page was applied or has failed."""
        self._pages_pending -= 1
        if not self._pages_pending:
            self._recent.clear()
            self._recent_weight = 0

    def detach(self) -> None:
        """Drop buffered events after the connection was lost; they will be read again."""
        self._buffered.clear()
        self.head = self.position

    def forget(self) -> None:
        """Forget every line and the position; the read marker stays."""
        if self.epoch:
            self._on_forget()
        self.changed.clear()
        self.coverage = Coverage()
        self.epoch, self.position, self.mid, self.head = "", 0, None, 0
        self._counted = 0
        self._expired = (0, 0)
        self._buffered.clear()
        self._recent.clear()
        self._recent_weight = 0

    # Internals

    def _apply_page(self, items: Sequence[Item], complete: bool, head: int) -> Change:
        known = [item for item in items if item.seq <= self.position]
        change = self._advance(items[len(known) :])
        if complete and self.position < head:
            raise BrokenLog(
                f"{self.channel}: the log ends at {self.position}, but its head is {head}"
            )
        if not complete and not items:
            raise BrokenLog(
                f"{self.channel}: the server sent an empty page before the end of the log"
            )
        again = tuple(line for item in known for line in self._apply_entry(item))
        expired = max(change.expired, _expiry_of(known))
        return replace(change, lines=_in_order((*again, *change.lines)), expired=expired)

    def _advance(self, entries: Sequence[Item | Event]) -> Change:
        """Apply the entries after the position, then the buffered events that follow."""
        lines: list[Message] = []
        applied: list[Item | Event] = []
        waiting = iter(entries)
        while entry := next(waiting, None) or self._buffered.pop(self.position + 1, None):
            if entry.seq != self.position + 1:
                raise BrokenLog(
                    f"{self.channel}: event {entry.seq} follows {self.position}; events "
                    "between them are missing"
                )
            lines += self._apply_entry(entry)
            self.position, self.mid = entry.seq, entry.mid
            self.coverage.add(entry.seq, entry.seq)
            self._counted = max(self._counted, entry.seq)
            applied.append(entry)
        self.head = max(self.head, self.position)
        for seq in [seq for seq in self._buffered if seq <= self.position]:
            del self._buffered[seq]
        return Change(_in_order(lines), tuple(applied), expired=_expiry_of(applied))

    def _apply_entry(self, entry: Item | Event) -> tuple[Message, ...]:
        """Apply one entry; return the line that it added or changed."""
        if entry.kind in FOLDED_KINDS:
            if self._pages_pending:
                self._recent.append(entry)
                self._recent_weight += _weight_of(entry)
                if len(self._recent) > _RECENT_MAX or self._recent_weight > _RECENT_WEIGHT:
                    raise BrokenLog(f"{self.channel}: too many changes while a page was loading")
            return self._fold(entry)
        if entry.kind == "expire" and entry.up_to is not None:
            self._expire(entry.up_to, entry.seq)
        if entry.kind not in SHOWN_KINDS:
            return ()
        new, old = message_of(self.channel, entry), self.line(entry.seq)
        up_to, expiry = self._expired
        if entry.seq <= up_to and new.rev < expiry:  # the page was read before
            new = without_text(new, expiry)
        self._follow_thread(new)
        if old is not None and entry.seq > self.position:
            # Read with a thread, or stored by another client on this file: now counted here.
            self.needs_recount |= entry.seq > self._counted
            new = max(new, old, key=lambda line: line.rev)
        elif old is not None and old.rev >= new.rev:
            return ()
        self._put(entry.seq, old, new, since=entry.seq)
        return (new,)

    def _fold(self, change: Item | Event) -> tuple[Message, ...]:
        if change.target is None:
            return ()
        counts = change.seq > self._counted
        old = self.line(change.target)
        new = fold(old, change, self.me) if old is not None else None
        if new is old or old is None or new is None:
            self.needs_recount |= counts and _counts(change) and change.target > self.read
            return ()
        self._put(change.target, old, new, since=change.seq)
        return (new,)

    def _expire(self, up_to: int, seq: int) -> None:
        """Erase all texts up to `up_to`; `seq` is that of the event."""
        if up_to <= self._expired[0]:
            return
        self._expired = (up_to, seq)
        for at, line in self.changed.items():
            if at <= up_to:
                self.changed[at] = without_text(line, seq)
        self._on_expire(up_to, seq)
        self.needs_recount |= up_to > self.read

    def _follow_thread(self, line: Message) -> None:
        """Follow the thread of a reply that the user wrote or that mentions them."""
        if line.thread is None or line.deleted:
            return
        me = fold_name(self.me)
        seq = line.seq or 0
        if fold_name(line.author) == me:
            self.threads.follow(line.thread, seq)
        elif not self.threads.is_known(line.thread) and not self._is_ignored(line.author):
            root = self.line(line.thread)
            is_mine = root is not None and fold_name(root.author) == me
            if is_mine or any(fold_name(name) == me for name in line.mentions):
                self.threads.follow(line.thread, seq - 1)

    def _put(self, seq: int, old: Message | None, new: Message, *, since: int) -> None:
        """Store a line that the event `since` added or changed, and count it."""
        self.changed[seq] = new
        if new.thread_only and new.thread is not None:
            read = self.threads.get(new.thread).read
            was, mentioned = self.weight(old, read)
            now, mentions = self.weight(new, read)
            self.threads.count(new.thread, since, now - was, mentions - mentioned)
        elif since > self._counted:
            was, mentioned = self.weight(old, self.read)
            now, mentions = self.weight(new, self.read)
            self.unread = max(0, self.unread + now - was)
            self.mentions = max(0, self.mentions + mentions - mentioned)

    def weight(self, line: Message | None, read: int) -> tuple[int, int]:
        """Return what `line` adds to the unread and mention counts above the marker `read`."""
        if line is None or line.kind != "message" or line.deleted or (line.seq or 0) <= read:
            return 0, 0
        me = fold_name(self.me)
        if fold_name(line.author) == me or self._is_ignored(line.author):
            return 0, 0
        return 1, int(any(fold_name(name) == me for name in line.mentions))

    def _check_order(self, items: Iterable[Item], lowest: int, highest: int) -> None:
        expected = lowest
        for item in items:
            if not expected <= item.seq <= highest:
                raise BrokenLog(f"{self.channel}: a page holds {item.seq} out of order")
            expected = item.seq + 1


def _weight_of(entry: Item | Event) -> int:
    """Return the approximate size of an entry in characters."""
    return len(entry.text or "") + 64 * len(entry.mentions)


def _counts(change: Item | Event) -> bool:
    """Whether a change can affect the unread counts."""
    return change.kind in ("edit", "delete")


def _expiry_of(entries: Iterable[Item | Event]) -> int:
    """Return the seq up to which `entries` erase texts; 0 for none."""
    return max((entry.up_to or 0 for entry in entries if entry.kind == "expire"), default=0)


def _in_order(lines: Iterable[Message]) -> tuple[Message, ...]:
    """Return the latest version of each line, in timeline order."""
    latest = {line.seq or 0: line for line in lines}
    return tuple(latest[seq] for seq in sorted(latest))
