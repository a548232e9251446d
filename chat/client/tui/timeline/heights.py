"""Heights of many blocks with fast prefix sums.

The heights are a flat array, with a sum for each group of 256. Nearly all changes are at the end,
or insert a page at the start: an append updates one group, an insertion moves memory, and a lookup
among 100,000 lines takes a few microseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

__all__ = ["Heights"]

_GROUP = 256


class Heights:
    """A sequence of heights ≥ 0."""

    def __init__(self) -> None:
        self._heights = array("i")
        self._groups: list[int] = []
        self.total = 0
        """Sum of all heights."""

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, index: int) -> int:
        return self._heights[index]

    def insert(self, index: int, heights: Sequence[int]) -> None:
        """Insert lines before the line at `index`."""
        self._heights[index:index] = array("i", heights)
        self._sum_from(index)

    def remove(self, index: int) -> None:
        """Remove the line at `index`."""
        del self._heights[index]
        self._sum_from(index)

    def set(self, index: int, height: int) -> None:
        """Set the height of a line."""
        if delta := height - self._heights[index]:
            self._heights[index] = height
            self._groups[index // _GROUP] += delta
            self.total += delta

    def replace(self, heights: Sequence[int]) -> None:
        """Set the heights of all lines."""
        self._heights = array("i", heights)
        self._sum_from(0)

    def before(self, index: int) -> int:
        """Return the first row of the line at `index`: the sum of all heights before it."""
        group = index // _GROUP
        return sum(self._groups[:group]) + sum(self._heights[group * _GROUP : index])

    def at(self, row: int) -> tuple[int, int]:
        """Return the index of the line that covers `row`, and the row within that line.

        A row outside the range is clamped. Lines of height 0 are skipped unless all are 0.
        """
        rest = max(0, min(row, self.total - 1))
        group = 0
        while group < len(self._groups) - 1 and rest >= self._groups[group]:
            rest -= self._groups[group]
            group += 1
        index = group * _GROUP
        while index < len(self._heights) - 1 and rest >= self._heights[index]:
            rest -= self._heights[index]
            index += 1
        return index, rest

    def _sum_from(self, index: int) -> None:
        """Recompute the group sums from the group of `index` on."""
        first = index // _GROUP
        del self._groups[first:]
        self._groups.extend(
            sum(self._heights[start : start + _GROUP])
            for start in range(first * _GROUP, len(self._heights), _GROUP)
        )
        self.total = sum(self._groups)
