"""`--since`: a number, a time, or so long ago."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from chat.client.model.search_query import Since, parse_since

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=1)))
TS = round(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("word", "since"),
    [
        ("0", Since(seq=0)),
        ("41", Since(seq=41)),
        ("90s", Since(ts=TS - 90_000)),
        ("10m", Since(ts=TS - 600_000)),
        ("2h", Since(ts=TS - 7_200_000)),
        ("999999999w", Since(ts=0)),
        ("09:30", Since(ts=TS - 9_000_000)),
        ("2026-11-24", Since(ts=TS - 43_200_000)),
        ("2026-11-24T11:59", Since(ts=TS - 60_000)),
        ("2026-11-24T10:00:00Z", Since(ts=TS - 3_600_000)),
    ],
)
def test_every_way_to_say_it(word: str, since: Since) -> None:
    assert parse_since(word, NOW) == since


@pytest.mark.parametrize("word", ["", "-3", "soon", "10y", "25:00", "2026-13-01", "1.5h"])
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_since(word, NOW)
