"""When something was said, as short as it can be told."""

from __future__ import annotations

from datetime import datetime

import pytest

from chat.client.platform.local_time import local_time, time_or_day

NOW = datetime(2026, 3, 5, 12, 30)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (datetime(2026, 3, 5, 9, 5), "09:05"),
        (datetime(2026, 3, 4, 23, 59), "4 Mar"),
        (datetime(2025, 3, 5, 12, 30), "5 Mar 25"),
        (datetime(2025, 12, 31, 23, 59), "31 Dec 25"),
    ],
)
def test_a_day_has_its_year_where_it_is_another(said: datetime, shown: str) -> None:
    assert time_or_day(int(said.timestamp() * 1000), NOW) == shown
    assert len(shown) <= 9


@pytest.mark.parametrize("ts", [-(10**30), -1, 0, 10**30])
def test_any_number_gives_a_time(ts: int) -> None:
    assert 1970 <= local_time(ts).year <= 3000
