"""Completion of the word under the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.fuzzy import rank
from chat.client.presenter.composer.completion import Completion, Sources, complete

SOURCES = Sources(
    languages=("python", "javascript", "typescript", "sql", "rust"),
    names=("bob", "alice", "Albert"),
    channels=("#general", "#tea", "@alice,me"),
    themes=("dark", "light", "nord"),
    messages=((42, "bob: tea?"), (41, "alice: hello"), (7, "bob: once")),
)


def offers(line: str) -> list[str]:
    """Return the inserted texts."""
    found = complete(line, SOURCES)
    return [each.insert for each in found.candidates] if found else []


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("/jo", "/join "),
        ("/awa", "/away"),
        ("/join t", "#tea "),
        ("/join #t", "#tea "),
        ("@", "@bob "),
        ("hello @al", "@alice "),
        ("hello @AL", "@alice "),
        ("(@al", "@alice "),
        ("see #ge", "#general "),
        (":tad", "🎉 "),
        ("nice :tad", "🎉 "),
        ("/react ta", "🎉 "),
        ("/msg al", "alice "),
        ("/msg bob,al", "alice "),
        ("/msg bob hi @al", "@alice "),
        ("/me hugs @al", "@alice "),
        ("/help jo", "join"),
        ("/theme li", "light"),
        ("/status b", "busy"),
        ("@lce", "@alice "),
        ("```pyt", "python"),
        ("~~~rus", "rust"),
        ("```", "python"),
        ("```s", "sql"),
        ("/status ", "online"),
        ("/mark ", "all"),
        ("/reply ", "42 "),
        ("/reply 4", "42 "),
        ("/react :+1: ", "42 "),
    ],
)
@pytest.mark.feature("writing.completion")
def test_the_best_match_comes_first(line: str, first: str) -> None:
    assert offers(line)[0] == first


@pytest.mark.parametrize(
    "line",
    ["", "hello", "a@b", "alice@example", "now :)", ":D", "10:30", "/away ", "//jo", "#tea!"],
)
def test_ordinary_words_are_left_alone(line: str) -> None:
    assert offers(line) == []


def test_commands_are_completed_on_the_first_line_only() -> None:
    assert complete("/jo", SOURCES, [""]) is None


@pytest.mark.parametrize(
    ("above", "line", "offered"),
    [
        (["```python"], "@al", False),
        (["```python"], "```", False),  # the fence that ends it
        (["```python", "```"], "@al", True),
        (["```python", "```"], "```", True),
        (["~~~", "```"], "@al", False),
        (["````", "```"], "@al", False),
        (["text"], "```", True),
    ],
)
def test_code_blocks_have_no_completion(above: list[str], line: str, offered: bool) -> None:
    assert (complete(line, SOURCES, above) is not None) is offered


def test_a_language_is_no_more_than_offered() -> None:
    found = complete("```", SOURCES)
    assert found is not None
    assert not found.is_meant
    assert [each.label for each in found.candidates[:3]] == ["python", "javascript", "typescript"]


@pytest.mark.parametrize(
    ("line", "is_meant"),
    [
        ("/joi", True),  # not a command: a completion
        ("/join", False),  # is a command already
        ("/r", False),  # an alias
        ("@al", True),
        ("@alice", False),
        ("@", False),  # only a sign
        ("@lce", False),  # merely similar
        ("/join te", False),  # may be a new channel
        ("/msg al", False),
    ],
)
def test_enter_accepts_a_candidate_only_if_the_typed_word_is_not_valid(
    line: str, is_meant: bool
) -> None:
    found = complete(line, SOURCES)
    assert found is not None
    assert found.is_meant is is_meant


@given(st.text(st.sampled_from("/@#: abjoinmsgré,\t1"), max_size=20))
def test_any_line_can_be_completed(line: str) -> None:
    found: Completion | None = complete(line, SOURCES)
    if found:
        assert 0 <= found.start <= len(line)
        assert found.candidates


@given(st.text(max_size=4), st.lists(st.text(max_size=8), max_size=8))
def test_ranking_returns_each_match_once_and_those_that_begin_with_the_word_first(
    word: str, names: list[str]
) -> None:
    places = rank(word, names)
    assert len(places) == len(set(places))
    begins = [names[place].lower().startswith(word.lower()) for place in places]
    assert begins == sorted(begins, reverse=True)
