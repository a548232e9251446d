"""Local times: the user's time zone, and how times are shown.

The system's zone is read again when it changes while the program runs.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

__all__ = ["local_time", "local_zone", "moment", "time_or_day"]


_FILE = Path("/etc/localtime")
_EPOCH = datetime(1970, 1, 1)


class _SystemZone(tzinfo):
    """The C library's zone, which it reads once."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return moment.replace(tzinfo=None).astimezone().utcoffset() if moment else None

    def dst(self, _: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return moment.replace(tzinfo=None).astimezone().tzname() if moment else None

    def fromutc(self, moment: datetime) -> datetime:
        seconds = (moment.replace(tzinfo=None) - _EPOCH).total_seconds()
        return datetime.fromtimestamp(seconds).replace(tzinfo=self)


_SYSTEM = _SystemZone()


def local_zone(file: Path = _FILE) -> tzinfo:
    """Return the current zone: from `TZ`, otherwise from the system's file."""
    if os.environ.get("TZ"):
        return _SYSTEM
    try:
        about = file.stat()
    except OSError:  # Windows, and machines that keep UTC
        return _SYSTEM
    return _read(file, about.st_dev, about.st_ino, about.st_mtime_ns)


@lru_cache(maxsize=1)
def _read(file: Path, *_version: int) -> tzinfo:
    try:
        with file.open("rb") as opened:
            return ZoneInfo.from_file(opened)
    except (OSError, ValueError):
        return _SYSTEM


_WEEK = 7
_LAST_TS = 32_503_680_000_000  # the year 3000: the limit of `datetime` on some systems


def local_time(ts: int) -> datetime:
    """Return the local time of a timestamp in milliseconds; out-of-range values are clamped."""
    return datetime.fromtimestamp(min(max(ts, 86_400_000), _LAST_TS) // 1000, local_zone())


def moment(ts: int) -> str:
    """Return a moment in the past or the future, to the minute: `Tue 14:05` within six days."""
    when, today = local_time(ts), datetime.now(local_zone())
    if when.date() == today.date():
        return f"{when:%H:%M}"
    if abs((when.date() - today.date()).days) < _WEEK:
        return f"{when:%a %H:%M}"
    year = "" if when.year == today.year else f" {when.year}"
    return f"{when.day} {when:%b}{year} {when:%H:%M}"


def time_or_day(ts: int, now: datetime) -> str:
    """Return the time if the timestamp is of today, otherwise the day, with a differing year.

    At most nine characters.
    """
    when = local_time(ts)
    if when.date() == now.date():
        return f"{when:%H:%M}"
    return f"{when.day} {when:%b}" if when.year == now.year else f"{when.day} {when:%b %y}"
