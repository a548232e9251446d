"""The ranges of a log that the client has completely."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["Coverage"]


class Coverage:
    """Sorted, disjoint ranges of seqs; both ends are included.

    The stored lines cannot tell this: an edit has a seq but no line.
    """

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self.spans: list[tuple[int, int]] = []
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add the range from `first` to `last`; do nothing if `last < first`."""
        if last < first:
            return
        if self.spans and self.spans[-1][1] == first - 1:  # the usual case: the next event
            self.spans[-1] = (self.spans[-1][0], last)
            return
        touching = [span for span in self.spans if span[0] <= last + 1 and span[1] >= first - 1]
        apart = [span for span in self.spans if span[0] > last + 1 or span[1] < first - 1]
        lowest = min([first, *(span[0] for span in touching)])
        highest = max([last, *(span[1] for span in touching)])
        self.spans = sorted([*apart, (lowest, highest)])

    def around(self, seq: int) -> tuple[int, int] | None:
        """Return the range that contains `seq`."""
        index = bisect_right(self.spans, (seq, 2**63)) - 1
        if index < 0 or self.spans[index][1] < seq:
            return None
        return self.spans[index]

    def gaps_from(self, lowest: int) -> tuple[int, ...]:
        """Return the first seq of each range at or above `lowest` that has a gap before it."""
        return tuple(first for first, _ in self.spans if first >= max(lowest, 2))
