"""What was sent can be called back, and what was being written is never lost by looking."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.client.tui.composer.history import History


def test_one_goes_back_through_what_was_sent_and_forward_to_what_was_being_written() -> None:
    history = History()
    for text in ("one", "two", "three"):
        history.add(text)
    assert history.older("half a sen") == "three"
    assert history.older("three") == "two"
    assert history.newer("two") == "three"
    assert history.newer("three") == "half a sen"
    assert history.newer("half a sen") is None


def test_a_text_that_was_changed_is_what_one_writes_now() -> None:
    history = History()
    history.add("one")
    history.add("two")
    assert history.older("") == "two"
    assert history.older("two, changed") == "two"
    assert history.newer("two") == "two, changed"


def test_before_the_first_there_is_nothing() -> None:
    history = History()
    assert history.older("") is None
    history.add("one")
    assert history.older("") == "one"
    assert history.older("one") is None


def test_what_was_sent_twice_stands_there_once() -> None:
    history = History()
    for text in ("one", "two", "one"):
        history.add(text)
    assert [history.older(""), history.older("one"), history.older("two")] == ["one", "two", None]


@given(st.lists(st.text(min_size=1)), st.text(), st.integers(0, 20))
def test_looking_back_and_forth_ends_where_it_began(sent: list[str], text: str, steps: int) -> None:
    history = History()
    for each in sent:
        history.add(each)
    if text in sent:
        return
    shown, taken = text, 0
    for _ in range(steps):
        if (found := history.older(shown)) is not None:
            shown, taken = found, taken + 1
    for _ in range(taken):
        found = history.newer(shown)
        assert found is not None
        shown = found
    assert shown == text
