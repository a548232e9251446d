"""The query parser: words, phrases and prefixes; no query causes a database error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import CommandError
from chat.store.search.query import parse_query


@pytest.mark.parametrize(
    "query",
    [
        "a*",
        "ab*",
        "foo-b*",
        "ḁ*",
        "éa*",
        "a\u0301*",
        "ſſ*",
        "a\u200db*",
        " ".join(map(str, range(21))),
    ],
)
def test_short_prefixes_and_too_many_terms_are_refused(query: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse_query(query)
    assert (refused.value.code, refused.value.field) == ("invalid", "query")


@given(st.text(max_size=300))
def test_any_text_is_a_valid_query_or_refused(query: str) -> None:
    with suppress(CommandError):
        assert all(all(term.words) for term in parse_query(query))
