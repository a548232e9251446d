"""A fixed day and time for all pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, tzinfo

import pytest

from chat.client.tui.screens import inbox, search
from chat.client.tui.timeline import renderer


class SomeDay(date):
    """A date that is always the same day."""

    @classmethod
    def today(cls) -> SomeDay:
        return cls(2026, 6, 1)


class SomeTime(datetime):
    """A clock that always shows the same time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> SomeTime:
        return cls(2026, 6, 1, 22, tzinfo=tz)


@pytest.fixture(autouse=True)
def _one_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the fixed day and time everywhere, in UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        patch.setattr(renderer, "date", SomeDay)
        for screen in (inbox, search):
            patch.setattr(screen, "datetime", SomeTime)
        time.tzset()
        yield
    time.tzset()
