"""`s/old/new/` corrects the last message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.presenter.composer.substitution import Substitution, corrected, parse
from chat.errors import ChatError
from tests.client.presenter.fakes import said


@pytest.mark.parametrize(
    ("line", "before", "after"),
    [
        ("s/teh/the/", "teh cat, teh dog", "the cat, teh dog"),
        ("s/teh/the", "teh cat", "the cat"),
        ("s/teh/the/g", "teh cat, teh dog", "the cat, the dog"),
        ("s/TEH/the/i", "teh cat", "the cat"),
        ("s/ cat//", "the cat", "the"),
        (r"s/a\/b/b\/a/", "1 a/b 2", "1 b/a 2"),
        ("s/a.c/x/", "abc a.c", "abc x"),
        (r"s/x/\1/", "x", r"\1"),
    ],
)
def test_a_substitution_replaces_plain_text(line: str, before: str, after: str) -> None:
    correction = parse(line)
    assert correction is not None
    assert corrected(correction, said(1, "me", before)) == after


@pytest.mark.parametrize(
    "line",
    ["s", "s/", "s//x/", "s/a", " s/a/b/", "s/a/b/c", "s/a/b/x", "yes/no/maybe", "s/a\nb/c/"],
)
def test_other_texts_are_not_substitutions(line: str) -> None:
    assert parse(line) is None


def test_a_missing_text_or_message_raises_an_error() -> None:
    with pytest.raises(ChatError, match="Your last message does not contain “x”"):
        corrected(Substitution("x", "y"), said(1, "me", "abc"))
    with pytest.raises(ChatError, match="no message here to correct"):
        corrected(Substitution("x", "y"), None)


@given(st.text(), st.text(), st.text(), st.text())
def test_a_substitution_changes_only_the_old_text(
    before: str, old: str, new: str, after: str
) -> None:
    if old and old not in before:
        assert Substitution(old, new).apply(before + old + after) == (
            (before + old + after).replace(old, new, 1)
        )
