"""The history of sent texts: recalling one never loses the draft."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.client.tui.composer.history import History


def test_history_goes_back_to_sent_texts_and_forward_to_the_draft() -> None:
    history = History()
    for text in ("one", "two", "three"):
        history.add(text)
    assert history.older("half a sen") == "three"
    assert history.older("three") == "two"
    assert history.newer("two") == "three"
    assert history.newer("three") == "half a sen"
    assert history.newer("half a sen") is None


def test_a_changed_history_text_becomes_the_draft() -> None:
    history = History()
    history.add("one")
    history.add("two")
    assert history.older("") == "two"
    assert history.older("two, changed") == "two"
    assert history.newer("two") == "two, changed"


def test_history_ends_at_the_first_text() -> None:
    history = History()
    assert history.older("") is None
    history.add("one")
    assert history.older("") == "one"
    assert history.older("one") is None


def test_a_repeated_text_is_stored_once() -> None:
    history = History()
    for text in ("one", "two", "one"):
        history.add(text)
    assert [history.older(""), history.older("one"), history.older("two")] == ["one", "two", None]


@given(st.lists(st.text(min_size=1)), st.text(), st.integers(0, 20))
def test_history_returns_to_the_draft(sent: list[str], text: str, steps: int) -> None:
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
