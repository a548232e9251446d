"""What lies in the composer: aims come and go, text stays."""

from __future__ import annotations

import pytest

from chat.client.presenter.draft import Aim, Draft, check_length
from chat.errors import ChatError
from tests.client.presenter.fakes import said

THEIRS, MINE = said(1, "alice", "tea?"), said(2, "me", "yes plaese")


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


def test_only_the_draft_goes_to_disk_while_a_message_is_changed() -> None:
    assert Draft("a draft").editing(MINE).kept == "a draft"
    assert Draft("gladly").replying(THEIRS).kept == "gladly"


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
