"""A follower that records each received event, and each sequence number that does not fit."""

from __future__ import annotations

from chat.client.model.fold import SHOWN_KINDS, fold, message_of, without_text
from chat.client.model.state import Message
from chat.protocol.commands import ResumeFrom
from chat.protocol.frames import Joined, Page
from chat.protocol.items import Event, Item
from tests.consistency.history import Applied, History, Segment, Sight

__all__ = ["Follower"]

WINDOW = 1_000
"""Maximum number of missed events for which a server continues a position (`--resume-window`)."""


class Follower:
    """One client's view of one channel.

    Args:
        user: the client's user.
        name: the client, for the history.
        channel: the channel.
        history: collects the evidence.
        is_room: whether the user may be removed from the channel.
    """

    def __init__(
        self, user: str, name: str, channel: str, history: History, *, is_room: bool
    ) -> None:
        self.channel = channel
        self.is_room = is_room
        self.lines: dict[int, Message] = {}
        self.is_attached = False
        """Whether live events arrive."""
        self.is_removed = False
        """Whether somebody has ended the membership."""
        self.is_joining = False
        """Whether the answer to a `join` is outstanding."""
        self._user = user
        self._name = name
        self._history = history
        self._segment: Segment | None = None

    @property
    def position(self) -> int:
        """The last number applied."""
        return self._segment.position if self._segment else 0

    @property
    def resume(self) -> ResumeFrom | None:
        """The position to resume from."""
        if self._segment is None:
            return None
        applied = self._segment.applied
        return ResumeFrom(
            epoch=self._segment.epoch,
            after=self._segment.position,
            mid=applied[-1].mid if applied else None,
        )

    def lost(self) -> None:
        """Handle a lost connection."""
        self.is_attached = self.is_joining = False

    def removed(self) -> None:
        """Handle the end of the membership."""
        self.is_attached, self.is_removed = False, True

    def joined(self, frame: Joined) -> None:
        """Apply the answer to a `resume` or a `join`."""
        before = self._segment
        self.is_removed = self.is_joining = False
        self._saw(frame.head)
        if frame.recovered:
            if before is None or before.epoch != frame.epoch:
                self._violation("an unknown position was continued")
        else:
            if before and before.epoch == frame.epoch and frame.head - before.position <= WINDOW:
                self._violation(f"position {before.position} of {frame.head} was not continued")
            self._begin(frame.epoch, frame.head)
        for item in frame.items:
            self._take(item) if frame.recovered else self._show(item)
        self.is_attached = frame.complete
        if frame.complete and self.position != frame.head:
            self._violation(f"complete at {self.position}, but the head is {frame.head}")

    def page(self, frame: Page) -> None:
        """Apply the answer to `history` after the position."""
        self._saw(frame.head)
        for item in frame.items:
            self._take(item)
        self.is_attached = frame.complete

    def event(self, frame: Event) -> None:
        """Apply a live event."""
        if not self.is_attached:
            self._violation(f"event {frame.seq} arrived while reading history, or after a removal")
        self._saw(frame.seq, is_live=True)
        self._take(frame)
        if frame.kind == "leave" and frame.author == self._user:
            self.removed()

    def head(self, head: int) -> None:
        """Apply the heads of a heartbeat: events up to them were delivered before."""
        self._saw(head)
        if self.is_attached and head != self.position:
            self._violation(f"the heartbeat reports head {head}, the last event is {self.position}")

    def _begin(self, epoch: str, position: int) -> None:
        self._segment = Segment(self.channel, epoch, position)
        self._history.segments.setdefault(self._name, []).append(self._segment)
        self.lines.clear()

    def _take(self, entry: Event | Item) -> None:
        assert self._segment is not None
        if entry.seq != self.position + 1:
            self._violation(f"event {entry.seq} arrived after {self.position}")
        self._segment.applied.append(Applied.of(entry))
        self._history.counts["delivered"] += 1
        self._show(entry)

    def _saw(self, seq: int, *, is_live: bool = False) -> None:
        if self.is_room:
            sights = self._history.sights.setdefault((self._user, self.channel), set())
            sights.add(Sight(seq, is_live))

    def _show(self, entry: Event | Item) -> None:
        if entry.kind == "expire":
            for seq, line in self.lines.items():
                if seq <= (entry.up_to or 0):
                    self.lines[seq] = without_text(line, entry.seq)
        if entry.kind in SHOWN_KINDS:
            self.lines[entry.seq] = message_of(self.channel, entry)
        elif entry.target in self.lines:
            self.lines[entry.target] = fold(self.lines[entry.target], entry, self._name)

    def _violation(self, what: str) -> None:
        self._history.violations.append(f"{self._name} in {self.channel}: {what}")
