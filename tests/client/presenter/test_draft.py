"""What lies in the composer: aims come and go, text stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.presenter.draft import (
    Aim,
    Draft,
    DraftKey,
    DraftStore,
    Substitution,
    check_length,
    corrected,
    read,
)
from chat.errors import ChatError
from tests.client.presenter.fakes import FakeCore, said

GENERAL = DraftKey("#general")
THEIRS, MINE = said(1, "alice", "tea?", rev=1), said(2, "me", "yes plaese", rev=2)


def test_an_answer_keeps_the_text_when_it_begins_and_when_it_is_given_up() -> None:
    answer = Draft("gladly").replying(THEIRS)
    assert (answer.text, answer.aim, answer.message) == ("gladly", Aim.REPLY, THEIRS)
    assert answer.cancelled() == Draft("gladly")


def test_a_change_puts_the_draft_aside_and_gives_it_back() -> None:
    change = Draft("a draft").editing(MINE)
    assert (change.text, change.aim, change.aside) == ("yes plaese", Aim.EDIT, "a draft")
    assert change.cancelled() == Draft("a draft")


def test_a_changed_change_stays_before_the_draft_when_it_is_given_up() -> None:
    change = Draft("yes please!", Aim.EDIT, MINE, aside="a draft")
    assert change.cancelled() == Draft("yes please!\na draft")


@pytest.mark.parametrize(
    "draft",
    [
        Draft("a draft"),
        Draft("gladly").replying(THEIRS),
        Draft("yes please!", Aim.EDIT, MINE, aside="a draft"),
        Draft("", Aim.EDIT, MINE),
    ],
)
def test_a_saved_draft_is_loaded_with_what_it_is_for(draft: Draft) -> None:
    core = FakeCore()
    DraftStore(core).save(GENERAL, draft)
    assert DraftStore(core).load(GENERAL) == draft
    DraftStore(core).load(GENERAL)
    store = DraftStore(core)
    store.load(GENERAL)
    store.save(GENERAL, Draft())
    assert not any(core.drafts.values())
    assert not any(core.prefs.values())


def test_older_clients_find_the_message_text_and_never_the_edit() -> None:
    core = FakeCore()
    DraftStore(core).save(GENERAL, Draft("changed", Aim.EDIT, MINE, aside="a draft"))
    assert core.drafts["#general"] == "a draft"


@pytest.mark.parametrize("aim", ["{", "[]", '{"aim": "edit", "message": "{}", "text": "x"}'])
def test_an_aim_that_cannot_be_read_leaves_the_text_alone(aim: str) -> None:
    core = FakeCore()
    core.save_draft("#general", "a draft")
    core.save_pref("draft-aim:#general", aim)
    assert DraftStore(core).load(GENERAL) == Draft("a draft")


def test_an_unchanged_draft_does_not_replace_that_of_a_second_client() -> None:
    core = FakeCore()
    first, second = DraftStore(core), DraftStore(core)
    assert first.load(GENERAL) == second.load(GENERAL) == Draft()
    second.save(GENERAL, Draft("from the second"))
    first.save(GENERAL, Draft())
    assert core.drafts["#general"] == "from the second"


def test_lines_from_a_pipe_neither_load_nor_save_a_draft() -> None:
    core = FakeCore()
    DraftStore(core).save(GENERAL, Draft("typed"))
    piped = DraftStore(core, is_used=False)
    assert piped.load(GENERAL) == Draft()
    piped.save(GENERAL, Draft("piped"))
    assert DraftStore(core).load(GENERAL) == Draft("typed")


def test_one_aim_takes_the_place_of_another_without_loss() -> None:
    again = Draft("a draft").editing(MINE).replying(THEIRS)
    assert (again.text, again.aim) == ("a draft", Aim.REPLY)
    other = Draft("gladly").replying(THEIRS).editing(MINE)
    assert (other.text, other.aside) == ("yes plaese", "gladly")


def test_a_text_that_is_too_long_is_refused_with_both_numbers() -> None:
    check_length("x" * 1_000, limit=1_000)
    with pytest.raises(ChatError, match=r"1,001 characters.*1,000"):
        check_length("x" * 1_001, limit=1_000)


def test_until_a_server_has_told_its_limit_any_length_is_kept() -> None:
    check_length("x" * 100_000, limit=0)


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
def test_it_replaces_plain_text(line: str, before: str, after: str) -> None:
    correction = read(line)
    assert correction is not None
    assert corrected(correction, said(1, "me", before)) == after


@pytest.mark.parametrize(
    "line",
    ["s", "s/", "s//x/", "s/a", " s/a/b/", "s/a/b/c", "s/a/b/x", "yes/no/maybe", "s/a\nb/c/"],
)
def test_other_texts_are_messages(line: str) -> None:
    assert read(line) is None


def test_what_is_not_there_cannot_be_replaced() -> None:
    with pytest.raises(ChatError, match="Your last message does not contain “x”"):
        corrected(Substitution("x", "y"), said(1, "me", "abc"))
    with pytest.raises(ChatError, match="no message here to correct"):
        corrected(Substitution("x", "y"), None)


@given(st.text(), st.text(), st.text(), st.text())
def test_only_what_is_named_changes(before: str, old: str, new: str, after: str) -> None:
    if old and old not in before:
        assert Substitution(old, new).apply(before + old + after) == (
            (before + old + after).replace(old, new, 1)
        )
