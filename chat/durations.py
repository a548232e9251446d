"""Durations as people write them: 30s, 10m, 2h, 7d, 2w."""

from __future__ import annotations

import re

__all__ = ["SECONDS", "duration_text", "exact_duration", "parse_duration"]

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
"""Seconds by unit."""
_DURATION = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+)([smhdw])", re.ASCII)
_LONGEST = 36_525 * 86_400
_NAMES = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as `10m`, `2h`, `7d` or `1d12h`.

    Raises:
        ValueError: it is not a duration, or not between 1 second and 100 years; the message is
            for users.
    """
    written = text.strip().lower()
    if not _DURATION.fullmatch(written):
        raise ValueError("must be a duration such as 10m, 2h or 7d")
    seconds = sum(int(count) * SECONDS[unit] for count, unit in _PART.findall(written))
    if not 1 <= seconds <= _LONGEST:
        raise ValueError("must be between 1 second and 100 years")
    return seconds


def exact_duration(seconds: int) -> str:
    """Return a duration as `parse_duration` reads it, in its largest exact unit up to days."""
    unit = next(unit for unit in "dhms" if seconds % SECONDS[unit] == 0)
    return f"{seconds // SECONDS[unit]}{unit}"


def duration_text(seconds: float) -> str:
    """Return a duration in words, in its largest fitting unit: `2 hours`, `1 day`."""
    whole = max(1, round(seconds))
    for name, size in _NAMES:
        if whole >= size:
            count = round(whole / size)
            return f"{count:,} {name}" + ("" if count == 1 else "s")
    raise AssertionError("the smallest unit is one second")
