"""What counts as read: what was on a screen that somebody looked at, and did not only peek at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from chat.client.presenter.port import CorePort

__all__ = ["Reading"]


class Reading:
    """The read marker of the channel that is shown; moved through `core`."""

    def __init__(self, core: CorePort) -> None:
        self.is_watched = True
        """Whether the person looks at this terminal."""
        self.is_peeking = False
        """Whether the channel is looked at without marking anything; ends when one leaves it."""
        self._core = core
        self._held: Counter[str] = Counter()
        self._seen: tuple[str, int] | None = None

    def opened(self) -> None:
        """Begin with another channel."""
        self._seen, self.is_peeking = None, False

    def seen(self, channel: str, seq: int) -> None:
        """Mark as read what shows, if somebody looks."""
        if not self._held[channel]:
            self._seen = (channel, seq)
            self._mark()

    def watched(self, is_watched: bool) -> None:
        """Say whether the person looks; what lies there is read once they do."""
        self.is_watched = is_watched
        self._mark()

    def peek(self, is_peeking: bool) -> None:
        """Only peek from now on, or read what shows."""
        self.is_peeking = is_peeking
        self._mark()

    @contextmanager
    def held(self, channel: str) -> Iterator[None]:
        """Mark nothing in a channel meanwhile: what shows is on its way to another place.

        Several may hold the same channel at once; the last one to end lets go of it.
        """
        self._held[channel] += 1
        try:
            yield
        finally:
            self._held[channel] -= 1

    def _mark(self) -> None:
        if self._seen and self.is_watched and not self.is_peeking:
            self._core.mark(*self._seen)
