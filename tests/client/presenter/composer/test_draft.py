"""One draft: setting and cancelling an aim keeps the text; saving and loading."""

from __future__ import annotations

import pytest

from chat.client.presenter.composer.draft import Aim, Draft, DraftStore, check_length
from chat.client.presenter.navigation import PaneKey
from chat.errors import ChatError
from tests.client.presenter.fakes import FakeCore, said

GENERAL = PaneKey("#general")
THEIRS, MINE = said(1, "alice", "tea?", rev=1), said(2, "me", "yes plaese", rev=2)


def test_beginning_and_cancelling_a_reply_keeps_the_text() -> None:
    answer = Draft("gladly").replying(THEIRS)
    assert (answer.text, answer.aim, answer.message) == ("gladly", Aim.REPLY, THEIRS)
    assert answer.cancelled() == Draft("gladly")


def test_an_edit_puts_the_draft_aside_and_cancelling_restores_it() -> None:
    change = Draft("a draft").editing(MINE)
    assert (change.text, change.aim, change.aside) == ("yes plaese", Aim.EDIT, "a draft")
    assert change.cancelled() == Draft("a draft")


def test_cancelling_keeps_an_unfinished_edit_before_the_draft() -> None:
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
def test_a_saved_draft_is_loaded_with_its_aim_and_message(draft: Draft) -> None:
    core = FakeCore()
    DraftStore(core).save(GENERAL, draft)
    assert DraftStore(core).load(GENERAL) == draft
    DraftStore(core).load(GENERAL)
    store = DraftStore(core)
    store.load(GENERAL)
    store.save(GENERAL, Draft())
    assert not any(core.drafts.values())
    assert not any(core.prefs.values())


def test_older_clients_find_the_draft_put_aside_and_not_the_edit() -> None:
    core = FakeCore()
    DraftStore(core).save(GENERAL, Draft("changed", Aim.EDIT, MINE, aside="a draft"))
    assert core.drafts["#general"] == "a draft"


@pytest.mark.parametrize("aim", ["{", "[]", '{"aim": "edit", "message": "{}", "text": "x"}'])
def test_an_unreadable_aim_leaves_the_text_unchanged(aim: str) -> None:
    core = FakeCore()
    core.save_draft("#general", "a draft")
    core.save_pref("draft-aim:#general", aim)
    assert DraftStore(core).load(GENERAL) == Draft("a draft")


def test_an_unchanged_draft_does_not_overwrite_a_second_clients_draft() -> None:
    core = FakeCore()
    first, second = DraftStore(core), DraftStore(core)
    assert first.load(GENERAL) == second.load(GENERAL) == Draft()
    second.save(GENERAL, Draft("from the second"))
    first.save(GENERAL, Draft())
    assert core.drafts["#general"] == "from the second"


def test_piped_input_neither_loads_nor_saves_a_draft() -> None:
    core = FakeCore()
    DraftStore(core).save(GENERAL, Draft("typed"))
    piped = DraftStore(core, is_used=False)
    assert piped.load(GENERAL) == Draft()
    piped.save(GENERAL, Draft("piped"))
    assert DraftStore(core).load(GENERAL) == Draft("typed")


def test_replacing_one_aim_by_another_loses_no_text() -> None:
    again = Draft("a draft").editing(MINE).replying(THEIRS)
    assert (again.text, again.aim) == ("a draft", Aim.REPLY)
    other = Draft("gladly").replying(THEIRS).editing(MINE)
    assert (other.text, other.aside) == ("yes plaese", "gladly")


def test_a_too_long_text_is_refused_with_its_length_and_the_limit() -> None:
    check_length("x" * 1_000, limit=1_000)
    with pytest.raises(ChatError, match=r"1,001 characters.*1,000"):
        check_length("x" * 1_001, limit=1_000)


def test_any_length_is_allowed_before_the_server_sends_its_limit() -> None:
    check_length("x" * 100_000, limit=0)
