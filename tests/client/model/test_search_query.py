"""What a person types into a search: operators in their own time, and everything else as words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from chat.client.model.search_query import SearchError, parse_search
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
def test_what_is_asked(typed: str, search: Search | None) -> None:
    assert parse_search(typed, "Ann", NOW) == (search or Search(author="Ann"))


@pytest.mark.parametrize(
    "typed",
    ["", "in:#tea", "tea from:a,b", "tea before:soon", "tea before:41", "tea has:wings", "x in:@"],
)
def test_what_cannot_be_asked_is_told(typed: str) -> None:
    with pytest.raises(SearchError) as refused:
        parse_search(typed, "Ann", NOW)
    assert str(refused.value)
