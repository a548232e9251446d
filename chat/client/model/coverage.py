"""Coverage: which ranges of a log are known without a gap. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["Coverage"]


class Coverage:
    """Stretches of seqs, first and last included, apart from each other and in order.

    Lines alone cannot tell: an edit has a seq and no line.
    """

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self.spans: list[tuple[int, int]] = []
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Note that everything from `first` to `last` is known; nothing if they are reversed."""
        if last < first:
            return
        if self.spans and self.spans[-1][1] == first - 1:  # the usual case: the log went on
            self.spans[-1] = (self.spans[-1][0], last)
            return
        touching = [span for span in self.spans if span[0] <= last + 1 and span[1] >= first - 1]
        apart = [span for span in self.spans if span[0] > last + 1 or span[1] < first - 1]
        lowest = min([first, *(span[0] for span in touching)])
        highest = max([last, *(span[1] for span in touching)])
        self.spans = sorted([*apart, (lowest, highest)])

    def around(self, seq: int) -> tuple[int, int] | None:
        """Return the stretch that `seq` is in."""
        at = bisect_right(self.spans, (seq, 2**63)) - 1
        if at < 0 or self.spans[at][1] < seq:
            return None
        return self.spans[at]

    def gaps_from(self, lowest: int) -> tuple[int, ...]:
        """Return the first seqs of the stretches that begin at `lowest` or above, but not at 1."""
        return tuple(first for first, _ in self.spans if first >= max(lowest, 2))
