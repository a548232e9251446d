"""Delays that a load causes for others, compared with those of a harmless load of equal size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

__all__ = ["Waits"]

TIMES = 3
"""Factor below which delays count as equal: rare events and other work on the machine add noise."""
_KINDS: dict[str, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "mean": statistics.fmean,
    "ninth of ten": lambda waits: statistics.quantiles(waits, n=10)[-1],
}


class Waits:
    """Delays of others under some loads and, in turns, under harmless loads of equal size.

    The shortest delay under each load counts, as a busy machine only adds time. So a load that
    always costs time is found, and a stall of the machine is not mistaken for one.
    """

    def __init__(self, loads: int) -> None:
        self._shortest = [(float("inf"), float("inf"))] * loads

    def note(self, load: int, harmless: float, hostile: float) -> None:
        """Record a delay in seconds under a load, and one under its harmless counterpart."""
        before, after = self._shortest[load]
        self._shortest[load] = min(before, harmless), min(after, hostile)

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return a figure of all loads: first of the harmless ones, then of the hostile ones."""
        harmless, hostile = zip(*self._shortest, strict=True)
        return {kind: (of(harmless), of(hostile)) for kind, of in _KINDS.items()}

    @property
    def are_unmoved(self) -> bool:
        """Whether others wait no longer than under a harmless load."""
        return all(after < TIMES * before for before, after in self.figures().values())
