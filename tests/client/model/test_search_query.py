"""Search queries: operators with times in the user's zone; all other words are searched."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from chat.client.model.search_query import SearchError, Since, parse_search, parse_since
from chat.protocol.commands import Search

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=timezone(timedelta(hours=1)))
MIDNIGHT = round(datetime(2026, 11, 24, tzinfo=NOW.tzinfo).timestamp() * 1000)


@pytest.mark.parametrize(
    ("typed", "search"),
    [
        ("two words", Search(query="two words")),
        ('"a phrase" beg*', Search(query='"a phrase" beg*')),
        ("from:bob tea", Search(query="tea", author="bob")),
        ("From:@bob", Search(author="bob")),
        ("from:me", None),
        ("tea in:ops", Search(query="tea", channel="#ops")),
        ("tea in:#ops", Search(query="tea", channel="#ops")),
        ("tea in:@bob", Search(query="tea", channel="@Ann,bob")),
        ("tea before:2026-11-24", Search(query="tea", before=MIDNIGHT)),
        ("tea after:2026-11-24T09:30", Search(query="tea", after=MIDNIGHT + 34_200_000)),
        (
            "tea after:1d",
            Search(query="tea", after=round(NOW.timestamp() * 1000) - 86_400_000),
        ),
        ("has:link", Search(has="link")),
        ('"from:bob"', Search(query='"from:bob"')),
        ("http://x from:", Search(query="http://x from:")),
    ],
)
def test_search_operators_are_parsed(typed: str, search: Search | None) -> None:
    assert parse_search(typed, "Ann", NOW) == (search or Search(author="Ann"))


@pytest.mark.parametrize(
    "typed",
    ["", "in:#tea", "tea from:a,b", "tea before:soon", "tea before:41", "tea has:wings", "x in:@"],
)
def test_an_invalid_search_says_what_to_write(typed: str) -> None:
    with pytest.raises(SearchError) as refused:
        parse_search(typed, "Ann", NOW)
    assert str(refused.value)


NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=1)))
TS = round(NOON.timestamp() * 1000)


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
def test_since_accepts_numbers_durations_and_times(word: str, since: Since) -> None:
    assert parse_since(word, NOON) == since


@pytest.mark.parametrize("word", ["", "-3", "soon", "10y", "25:00", "2026-13-01", "1.5h"])
def test_since_rejects_any_other_value(word: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_since(word, NOON)
