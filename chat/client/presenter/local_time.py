"""When something was said, on this person's clock."""

from __future__ import annotations

from datetime import datetime

from chat.client.local_zone import local_zone

__all__ = ["local_time", "time_or_day"]

_LAST_TS = 32_503_680_000_000  # the year 3000: `datetime` goes no further on some systems


def local_time(ts: int) -> datetime:
    """Return the local time of a stamp in milliseconds; any number gives one."""
    return datetime.fromtimestamp(min(max(ts, 86_400_000), _LAST_TS) // 1000, local_zone())


def time_or_day(ts: int, now: datetime) -> str:
    """Return the time of a stamp if it is of today, else its day, with the year if it is another.

    No more than nine characters.
    """
    when = local_time(ts)
    if when.date() == now.date():
        return f"{when:%H:%M}"
    return f"{when.day} {when:%b}" if when.year == now.year else f"{when.day} {when:%b %y}"
