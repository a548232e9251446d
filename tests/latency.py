"""What others notice of a load: how long they wait, beside a harmless load of the same size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

__all__ = ["Waits"]

TIMES = 3
"""How much longer is still the same: what is rare, and a machine with other work to do, differ."""
_KINDS: dict[str, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "mean": statistics.fmean,
    "ninth of ten": lambda waits: statistics.quantiles(waits, n=10)[-1],
}


class Waits:
    """How long others wait under some loads and, met in turns, under harmless ones of their size.

    The shortest wait under each load counts, as a busy machine only adds. So a load whose cost
    shows each time is found, and a stall of the machine is not taken for one.
    """

    def __init__(self, loads: int) -> None:
        self._shortest = [(float("inf"), float("inf"))] * loads

    def note(self, load: int, harmless: float, hostile: float) -> None:
        """Take the seconds that somebody waited under a load, and under its harmless one."""
        before, after = self._shortest[load]
        self._shortest[load] = min(before, harmless), min(after, hostile)

    def told(self) -> dict[str, tuple[float, float]]:
        """Return some figures of all loads: the harmless ones', then the hostile ones'."""
        harmless, hostile = zip(*self._shortest, strict=True)
        return {kind: (of(harmless), of(hostile)) for kind, of in _KINDS.items()}

    @property
    def are_unmoved(self) -> bool:
        """Whether others wait no longer than under a harmless load."""
        return all(after < TIMES * before for before, after in self.told().values())
