"""The loaded messages of one channel or thread, in order, and questions about them.

Numbered lines come first, by number; then what has no number yet or never gets one (messages on
their way, ticks), in the order it came. `apply` reports what it did as splices, so that whoever
keeps something per line can follow.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chat.client.model.state import Delivery, Message, TimelineChanged, is_for
from chat.text import fold

__all__ = ["Key", "Log", "Splices"]


_WALK = 500
_KEPT = 400

Key = int | str
"""Identity of a line: its number, the cid of one on its way, or a negative number for a tick."""


Step = Literal["insert", "replace", "remove"]


@dataclass(slots=True)
class Splices:
    """What an update did to the lines of `log`.

    Args:
        change: the update; with `reset`, everything was forgotten first.
        first_before: the lowest number that was loaded before.
        steps: what was put in at, replaced at, or taken out at which index, to be followed in
            order; an index holds as of its step.
        touched: lines that are new, changed or look different, or stand beside one that is gone.
        renamed: keys of pending lines, with the number that each was given.
        before: the former states of the update's lines that were loaded already, by the lines'
            present keys; also of those that were forgotten and came again.
        has_new_speakers: whether somebody spoke of whom no message was loaded.
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
        """Return the former state of one of the update's lines, if it was loaded."""
        return self.before.get((line.cid or "") if line.seq is None else line.seq)

    @property
    def is_live(self) -> bool:
        """Whether it tells what happens now, rather than what was missed; no clock knows."""
        change = self.change
        return not change.reset and bool(change.upserts) and not change.missed


class Log:
    """An ordered sequence of messages that can be looked up by number and by cid."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._seqs = array("q")
        self._tail: list[Key] = []
        self._ticks = 0
        self.gaps: frozenset[int] = frozenset()
        """Numbers before which lines are missing."""
        self.complete = False
        """Whether the first line of the channel is here."""
        self.speakers: set[str] = set()
        """Who said something that is or was loaded."""
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

    # Questions

    def line(self, seq: int) -> Message | None:
        """Return the line numbered `seq`, if it is loaded."""
        index = self.find(seq)
        return None if index is None else self._messages[index]

    def newest(self) -> Iterator[Message]:
        """Return the messages that the server has, the newest first."""
        for index in range(len(self._seqs) - 1, -1, -1):
            if self._messages[index].kind == "message":
                yield self._messages[index]

    def latest(self, author: str | None = None) -> Message | None:
        """Return the newest message that is not deleted, of `author` if given."""
        found = (each for each in self.newest() if author in (None, each.author))
        return next((each for each in found if not each.deleted), None)

    def failed(self) -> list[Message]:
        """Return one's own messages that the server refused, oldest first."""
        tail = self._messages[len(self._seqs) :]
        return [each for each in tail if each.delivery is Delivery.FAILED]

    def replies(self, seq: int | None) -> int:
        """Return how many messages that are not deleted are in the thread of a root."""
        return len(self._threads.get(seq, ())) if seq is not None else 0

    def next_mention(self, index: int, step: int, user: str) -> int | None:
        """Return the seq of the first message beyond `index`, by `step`, that mentions `user`."""
        index += step
        while 0 <= index < len(self):
            if is_for(self._messages[index], user):
                return self._messages[index].seq
            index += step
        return None

    def first_unread(self, seq: int, user: str) -> Key | None:
        """Return the line for the unread rule: the first message of somebody else from `seq` on.

        None if there is none near, or if nothing above it is loaded.
        """
        start = self.index_from(seq)
        for index in range(start, min(len(self), start + _WALK) if start else 0):
            message = self._messages[index]
            if _counts(message, user):
                return message.seq
        return None

    # Changes

    def apply(self, change: TimelineChanged) -> Splices:
        """Take in an update; return what it did."""
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
        self._count_replies(change.upserts, done)
        done.has_new_speakers = len(self.speakers) != spoken
        done.touched |= gaps ^ self.gaps
        if was_complete != self.complete and len(self):
            done.touched.add(self.key(0))
        return done

    def trim(self) -> None:
        """Forget the oldest lines where there are many; only while nothing follows the splices."""
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
        """Note the line that `message` is a newer state of, if it is loaded."""
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

    def _take(self, upserts: tuple[Message, ...], done: Splices) -> None:
        """Put in new lines, runs of neighbors at once, and replace those that are known."""
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
        """Whether all of `upserts` are new, and go behind all lines with numbers."""
        last, tail = self.last_seq or 0, self._tail
        for message in upserts:
            if message.seq is None or message.seq <= last or (tail and message.cid in tail):
                return False
            last = message.seq
        return bool(upserts)

    def _continues(self, run: list[Message], message: Message) -> bool:
        """Whether `message` goes in right behind `run`, so that both can go in together."""
        last, seq = run[-1].seq, message.seq
        if last is None or seq is None or seq <= last:
            return False
        return bisect_left(self._seqs, last) == bisect_left(self._seqs, seq + 1)

    def _replace(self, message: Message, done: Splices) -> bool:
        """Replace the line that `message` is a newer state of; False if there is none."""
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
