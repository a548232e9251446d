"""What others notice of a load: how long they wait, beside a harmless load of the same size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

__all__ = ["assert_unmoved"]

TIMES = 3
"""How much longer is still the same: what is rare, and a machine with other work to do, differ."""
_KINDS: dict[str, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "mean": statistics.fmean,
    "ninth of ten": lambda waits: statistics.quantiles(waits, n=10)[-1],
}


def assert_unmoved(harmless: Sequence[float], hostile: Sequence[float]) -> None:
    """Check that others wait no longer than under a harmless load, both met in turns."""
    told = {kind: (of(harmless), of(hostile)) for kind, of in _KINDS.items()}
    assert all(after < TIMES * before for before, after in told.values()), told
