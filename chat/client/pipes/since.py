"""Where to begin: a number, a moment, or so long ago. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time

__all__ = ["Since", "parse_since"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")
_SEQ = re.compile(r"\d{1,16}")


@dataclass(frozen=True, slots=True)
class Since:
    """Either a number, after which to begin, or a moment in milliseconds since 1970 UTC."""

    seq: int | None = None
    ts: int = 0


def parse_since(word: str, now: datetime) -> Since:
    """Read `--since`: `41`, `90s`, `10m`, `2h`, `1d`, `1w`, `09:30`, `2026-11-24T09:30`.

    Args:
        word: what was given; a moment without a zone is one of `now`'s.
        now: the present, with a zone that knows the rules of all dates.

    Raises:
        ValueError: it is none of these.
    """
    if _SEQ.fullmatch(word):
        return Since(seq=int(word))
    if match := _DURATION.fullmatch(word):
        ago = int(match[1]) * _UNITS[match[2]]
        return Since(ts=max(0, round((now.timestamp() - ago) * 1000)))
    try:
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", word):
            moment = datetime.combine(now.date(), time.fromisoformat(word))
        else:
            moment = datetime.fromisoformat(word)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)).timestamp()
    except (ValueError, OverflowError, OSError):  # of years that the system has no rules for
        raise ValueError(
            f"{word!r} is no number, no duration (90s, 10m, 2h, 1d, 1w) and no time "
            "(09:30, 2026-11-24, 2026-11-24T09:30)"
        ) from None
    return Since(ts=max(0, round(seconds * 1000)))
