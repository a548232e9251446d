"""Words, phrases and prefixes of a query; nothing that is typed is a mistake of the database's."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.core.query import Term, parse_query
from chat.errors import CommandError


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("hello", [Term("hello")]),
        ("  two  words ", [Term("two"), Term("words")]),
        ('"two words" more', [Term("two words"), Term("more")]),
        ('"never closed', [Term("never closed")]),
        ("pref*", [Term("pref*", is_prefix=True)]),
        ('"a pref"*', [Term("a pref", is_prefix=True)]),
        ("twice twice", [Term("twice")]),
        ("你*", [Term("你*", is_prefix=True)]),
        ('→ ** "" \' 👍', []),
        ("from:alice", [Term("from:alice")]),
    ],
)
def test_terms(query: str, terms: list[Term]) -> None:
    assert list(parse_query(query)) == terms


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
        "a\u19b0*",
        " ".join(map(str, range(21))),
    ],
)
def test_too_little_and_too_much_is_refused(query: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse_query(query)
    assert (refused.value.code, refused.value.field) == ("invalid", "query")


@given(st.text(max_size=300))
def test_everything_can_be_typed(query: str) -> None:
    with suppress(CommandError):
        assert all(term.text for term in parse_query(query))
