"""The loaded messages of one channel or thread, in order, and queries on them.

Numbered lines come first, by number; then lines without a number (unconfirmed messages, ticks), in
order of arrival. `apply` returns its changes as splices, so that caches per line can follow.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chat.client.model.fold import without_text
from chat.client.model.state import Delivery, Message, TimelineChanged, is_for
from chat.text import fold

__all__ = ["Key", "Log", "Splices"]


_WALK = 500
_KEPT = 400

Key = int | str
"""Identity of a line: its number, its cid if unconfirmed, or a negative number for a tick."""


Step = Literal["insert", "replace", "remove"]


@dataclass(slots=True)
class Splices:
    """The changes that an update made to `log`.

    Args:
        change: the update; with `reset`, the log was cleared first.
        first_before: the lowest number that was loaded before.
        steps: insertions, replacements and removals, to be applied in order; each index is valid
            at its step.
        touched: lines to draw again: new or changed lines, and neighbors of removed ones.
        renamed: keys of unconfirmed lines, with the numbers that they received.
        before: former states of the update's lines that were loaded, by their present keys.
        has_new_speakers: whether an author is new to the log.
    """

    log: Log
    change: TimelineChanged
    first_before: int | None
    steps: list[tuple[Step, int, Sequence[Message]]] = field(default_factory=list)
    touched: set[Key] = field(default_factory=set)
    renamed: dict[Key, Key] = field(default_factory=dict)
    before: dict[Key, Message] = field(default_factory=dict)
    has_new_speakers: bool = False

    def former(self, line: Message) -> Message | None:
        """Return the former state of a line of the update, if it was loaded."""
        return self.before.get((line.cid or "") if line.seq is None else line.seq)

    @property
    def is_live(self) -> bool:
        """Whether the update is a live event, not one that was missed while offline."""
        change = self.change
        return not change.reset and bool(change.upserts) and not change.missed


class Log:
    """An ordered sequence of messages with lookup by number and cid."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._seqs = array("q")
        self._tail: list[Key] = []
        self._ticks = 0
        self.gaps: frozenset[int] = frozenset()
        """Numbers with missing lines right before them."""
        self.complete = False
        """Whether the channel's first line is loaded."""
        self.speakers: set[str] = set()
        """Authors of all messages loaded since the last reset."""
        self._threads: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, index: int) -> Message:
        return self._messages[index]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    @property
    def first_seq(self) -> int | None:
        """The lowest number loaded."""
        return self._seqs[0] if self._seqs else None

    @property
    def last_seq(self) -> int | None:
        """The highest number loaded."""
        return self._seqs[-1] if self._seqs else None

    def key(self, index: int) -> Key:
        """Return the identity of the line at `index`."""
        numbered = len(self._seqs)
        return self._seqs[index] if index < numbered else self._tail[index - numbered]

    def find(self, key: Key) -> int | None:
        """Return the index of a line, or None if it is not loaded."""
        if isinstance(key, int) and key >= 0:
            index = bisect_left(self._seqs, key)
            return index if index < len(self._seqs) and self._seqs[index] == key else None
        try:
            return len(self._seqs) + self._tail.index(key)
        except ValueError:
            return None

    def index_from(self, seq: int) -> int:
        """Return the index of the first line numbered `seq` or higher, or of the tail's first."""
        return bisect_left(self._seqs, seq)

    # Queries

    def line(self, seq: int) -> Message | None:
        """Return the line numbered `seq`, if it is loaded."""
        index = self.find(seq)
        return None if index is None else self._messages[index]

    def newest(self) -> Iterator[Message]:
        """Return the confirmed messages, newest first."""
        for index in range(len(self._seqs) - 1, -1, -1):
            if self._messages[index].kind == "message":
                yield self._messages[index]

    def latest(self, author: str | None = None) -> Message | None:
        """Return the newest undeleted message, of `author` if given."""
        found = (each for each in self.newest() if author in (None, each.author))
        return next((each for each in found if not each.deleted), None)

    def failed(self) -> list[Message]:
        """Return the user's messages that the server refused, oldest first."""
        tail = self._messages[len(self._seqs) :]
        return [each for each in tail if each.delivery is Delivery.FAILED]

    def replies(self, seq: int | None) -> int:
        """Return the number of undeleted replies in the thread of a root."""
        return len(self._threads.get(seq, ())) if seq is not None else 0

    def next_mention(
        self, index: int, step: int, user: str, is_folded: Callable[[Message], bool]
    ) -> int | None:
        """Return the seq of the first message beyond `index`, by `step`, that mentions `user`.

        Folded messages are skipped.
        """
        index += step
        while 0 <= index < len(self):
            message = self._messages[index]
            if is_for(message, user) and not is_folded(message):
                return message.seq
            index += step
        return None

    def first_unread(self, seq: int, user: str, is_folded: Callable[[Message], bool]) -> Key | None:
        """Return the first message of another user from `seq` on: the unread marker's line.

        Folded messages are skipped. None if no such message is near, or if no line above it is
        loaded.
        """
        start = self.index_from(seq)
        for index in range(start, min(len(self), start + _WALK) if start else 0):
            message = self._messages[index]
            if _counts(message, user) and not is_folded(message):
                return message.seq
        return None

    # Changes

    def apply(self, change: TimelineChanged) -> Splices:
        """Apply an update; return its changes.

        Replies that are only in their threads have no line here; their roots count them.
        """
        done = Splices(self, change, self.first_seq)
        if not self._are_next(change.upserts):
            for message in change.upserts:
                self._note_former(message, done)
        gaps, was_complete, spoken = self.gaps, self.complete, len(self.speakers)
        if change.reset:
            self._clear()
        if change.gap_before is not None:
            self.gaps = frozenset(change.gap_before)
        if change.complete is not None:
            self.complete = change.complete
        for cid in change.removed:
            self._drop(cid, done)
        self.speakers.update(line.author for line in change.upserts if line.kind == "message")
        self._take(change.upserts, done)
        self._count_replies((*change.upserts, *change.replies), done)
        if change.expired:
            self._expire(change.expired, done)
        done.has_new_speakers = len(self.speakers) != spoken
        done.touched |= gaps ^ self.gaps
        if was_complete != self.complete and len(self):
            done.touched.add(self.key(0))
        return done

    def trim(self) -> None:
        """Drop the oldest lines of a long log; only while no view follows it."""
        gone = len(self._seqs) - _KEPT
        if gone > _KEPT:
            del self._messages[:gone], self._seqs[:gone]
            self.complete = False
            first = self._seqs[0]
            self._threads = {seq: found for seq, found in self._threads.items() if seq >= first}

    def _clear(self) -> None:
        self._messages.clear()
        self._seqs = array("q")
        self._tail.clear()
        self.gaps, self.complete = frozenset(), False
        self.speakers.clear()
        self._threads.clear()

    def _note_former(self, message: Message, done: Splices) -> None:
        """Record the loaded state that `message` replaces, if any."""
        index = self.find(message.seq) if message.seq is not None else None
        if index is None and message.cid is not None and self._tail:
            index = self.find(message.cid)
        key = message.cid if message.seq is None else message.seq
        if index is not None and key is not None:
            done.before[key] = self._messages[index]

    def _count_replies(self, upserts: tuple[Message, ...], done: Splices) -> None:
        for message in upserts:
            if message.thread is not None and message.seq is not None:
                thread = self._threads.setdefault(message.thread, set())
                before = len(thread)
                (thread.discard if message.deleted else thread.add)(message.seq)
                if len(thread) != before:
                    done.touched.add(message.thread)

    def _expire(self, up_to: int, done: Splices) -> None:
        """Erase all texts up to `up_to`."""
        for index in range(self.index_from(up_to + 1)):
            line = self._messages[index]
            gone = without_text(line, line.rev)
            if gone != line:
                self._messages[index] = gone
                done.steps.append(("replace", index, (gone,)))
                done.touched.add(self.key(index))
        for root in [root for root in self._threads if self._threads[root]]:
            kept = {seq for seq in self._threads[root] if seq > up_to}
            if len(kept) < len(self._threads[root]):
                self._threads[root] = kept
                done.touched.add(root)

    def _take(self, upserts: tuple[Message, ...], done: Splices) -> None:
        """Insert new lines, adjacent ones together, and replace known ones."""
        if self._are_next(upserts):
            self._insert(list(upserts), done)
            return
        run: list[Message] = []
        for message in upserts:
            if run and not self._continues(run, message):
                self._insert(run, done)
                run = []
            if not self._replace(message, done):
                run.append(message)
        if run:
            self._insert(run, done)

    def _are_next(self, upserts: tuple[Message, ...]) -> bool:
        """Whether all of `upserts` are new and follow the last numbered line."""
        last, tail = self.last_seq or 0, self._tail
        for message in upserts:
            if message.seq is None or message.seq <= last or (tail and message.cid in tail):
                return False
            last = message.seq
        return bool(upserts)

    def _continues(self, run: list[Message], message: Message) -> bool:
        """Whether `message` is inserted right after `run`, so that one insertion is enough."""
        last, seq = run[-1].seq, message.seq
        if last is None or seq is None or seq <= last:
            return False
        return bisect_left(self._seqs, last) == bisect_left(self._seqs, seq + 1)

    def _replace(self, message: Message, done: Splices) -> bool:
        """Replace the former state of `message`; return False if it is not loaded."""
        index = self.find(message.seq) if message.seq is not None else None
        if index is None and message.cid is not None and message.cid in self._tail:
            if message.seq is None:
                index = self.find(message.cid)
            else:
                self._drop(message.cid, done)
                done.renamed[message.cid] = message.seq
        if index is None:
            return False
        self._messages[index] = message
        done.steps.append(("replace", index, (message,)))
        done.touched.add(self.key(index))
        return True

    def _insert(self, run: list[Message], done: Splices) -> None:
        keys: list[Key] = []
        if run[0].seq is None:
            index = len(self._messages)
            keys.append(self._tail_key(run[0]))
            self._tail += keys
        else:
            index = bisect_left(self._seqs, run[0].seq)
            seqs = array("q", [message.seq for message in run if message.seq is not None])
            keys += seqs
            self._seqs[index:index] = seqs
        self._messages[index:index] = run
        done.steps.append(("insert", index, run))
        done.touched.update(keys)

    def _tail_key(self, message: Message) -> Key:
        if message.cid is not None and message.cid not in self._tail:
            return message.cid
        self._ticks -= 1
        return self._ticks

    def _drop(self, cid: str, done: Splices) -> None:
        index = self.find(cid)
        if index is not None:
            done.steps.append(("remove", index, (self._messages.pop(index),)))
            del self._tail[index - len(self._seqs)]
            done.touched.add(cid)
            done.touched.update(
                self.key(beside) for beside in (index - 1, index) if 0 <= beside < len(self)
            )


def _counts(message: Message, user: str) -> bool:
    return (
        message.seq is not None
        and message.kind == "message"
        and not message.deleted
        and fold(message.author) != fold(user)
    )
