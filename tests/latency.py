"""What others notice of a load: the time from saying something to its being heard."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

__all__ = ["assert_unmoved"]

UNNOTICED = 0.05
"""Seconds that nobody notices, and that a machine with other work to do takes now and then."""


def assert_unmoved(quiet: Sequence[float], busy: Sequence[float]) -> None:
    """Check that times under a load are those of before, as far as people can tell."""
    before, meanwhile = statistics.median(quiet), statistics.median(busy)
    assert meanwhile < max(5 * before, UNNOTICED), f"{meanwhile:.4f} s, {before:.4f} s before"
