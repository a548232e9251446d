"""One day and hour for all pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, tzinfo

import pytest

from chat.client.tui.screens import inbox, search
from chat.client.tui.timeline import renderer


class SomeDay(date):
    """A calendar that stands still."""

    @classmethod
    def today(cls) -> SomeDay:
        return cls(2026, 6, 1)


class SomeTime(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> SomeTime:
        return cls(2026, 6, 1, 22, tzinfo=tz)


@pytest.fixture(autouse=True)
def _one_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let it be the same day and hour everywhere."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        patch.setattr(renderer, "date", SomeDay)
        for screen in (inbox, search):
            patch.setattr(screen, "datetime", SomeTime)
        time.tzset()
        yield
    time.tzset()
