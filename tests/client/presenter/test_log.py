"""The log of loaded lines: numbered lines by number, then the others in order of arrival."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.state import Delivery, Message
from chat.client.presenter.log import Log
from tests.client.tui.timeline.lines import changed, event, page, say


def pending(cid: str) -> Message:
    return say(None, cid, cid=cid, delivery=Delivery.PENDING)


def texts(log: Log) -> list[str]:
    return [message.text for message in log]


@given(st.lists(st.lists(st.integers(1, 300), max_size=20), max_size=20))
def test_lines_are_ordered_by_number(
    pages: list[list[int]],
) -> None:
    log = Log()
    for number, seqs in enumerate(pages):
        log.apply(changed(*(say(seq, f"{seq} of {number}") for seq in sorted(seqs))))
    newest = {seq: f"{seq} of {number}" for number, seqs in enumerate(pages) for seq in seqs}
    assert texts(log) == [newest[seq] for seq in sorted(newest)]
    assert [log.find(seq) for seq in sorted(newest)] == list(range(len(newest)))
    assert [log.key(index) for index in range(len(log))] == sorted(newest)


@given(st.lists(st.lists(st.integers(1, 60), max_size=9), max_size=9))
def test_splices_reproduce_the_log(pages: list[list[int]]) -> None:
    log, mirror = Log(), list[Message]()
    for number, seqs in enumerate(pages):
        known = [pending(f"c{seq}") for seq in seqs[:1]]
        confirmed = [say(seq, f"{seq} of {number}", cid=f"c{seq}") for seq in seqs]
        for step, at, messages in (
            *log.apply(changed(*known)).steps,
            *log.apply(changed(*confirmed)).steps,
        ):
            mirror[at : at if step == "insert" else at + 1] = [] if step == "remove" else messages
        assert mirror == list(log)


def test_unnumbered_lines_come_last() -> None:
    log = Log()
    log.apply(changed(say(1), pending("a"), pending("b")))
    log.apply(changed(say(2, "of another")))
    assert texts(log) == ["message 1", "of another", "a", "b"]
    done = log.apply(changed(say(3, "a", cid="a")))
    assert texts(log) == ["message 1", "of another", "a", "b"]
    assert done.renamed == {"a": 3}
    assert log.find("a") is None
    assert log.find(3) == 2
    assert log.find("b") == 3


def test_a_repeated_pending_line_is_replaced() -> None:
    log = Log()
    log.apply(changed(pending("a")))
    log.apply(changed(say(None, "refused", cid="a", delivery=Delivery.FAILED)))
    assert texts(log) == ["refused"]


def test_discarded_lines_go() -> None:
    log = Log()
    log.apply(changed(say(1), pending("a"), pending("b")))
    done = log.apply(changed(removed=("a", "unknown")))
    assert texts(log) == ["message 1", "b"]
    assert {"a", 1, "b"} <= done.touched


def test_ticks_have_no_identity_and_all_stay() -> None:
    log = Log()
    for number in range(3):
        log.apply(changed(say(None, str(number), kind="tick")))
    assert texts(log) == ["0", "1", "2"]
    assert [log.find(log.key(index)) for index in range(3)] == [0, 1, 2]


def test_a_reset_forgets_everything() -> None:
    log = Log()
    log.apply(page(1, 9, complete=True, gap_before=(3,)))
    done = log.apply(page(20, 22, reset=True))
    assert done.change.reset
    assert (log.first_seq, log.last_seq, len(log)) == (20, 22, 3)
    assert not log.complete
    assert not log.gaps


def test_gaps_and_completeness_are_unchanged_by_default() -> None:
    log = Log()
    log.apply(page(5, 9, complete=True, gap_before=(7,)))
    log.apply(page(10, 10))
    assert (log.complete, log.gaps) == (True, frozenset({7}))
    log.apply(changed(gap_before=(8,), complete=False))
    assert (log.complete, log.gaps) == (False, frozenset({8}))


@pytest.mark.parametrize(
    ("seq", "expected"), [(1, None), (2, 3), (3, 3), (4, 5), (5, 5), (6, None), (99, None)]
)
def test_the_unread_rule_is_before_the_first_message_of_another_user(
    seq: int, expected: int | None
) -> None:
    log = Log()
    log.apply(
        changed(
            say(1), event(2, "join"), say(3), say(4, author="Dave"), say(5), say(6, deleted=True)
        )
    )
    assert log.first_unread(seq, "dave", lambda _: False) == expected


def test_messages_of_ignored_users_are_not_unread_and_no_mentions() -> None:
    log, is_folded = Log(), lambda message: message.author == "mallory"
    log.apply(
        changed(
            say(1), say(2, author="mallory", mentions=("dave",)), say(3, mentions=("dave",)), say(4)
        )
    )
    assert log.first_unread(2, "dave", is_folded) == 3
    assert log.next_mention(0, 1, "dave", is_folded) == 3
    assert log.next_mention(0, 1, "dave", lambda _: False) == 2


def test_missed_messages_are_not_live() -> None:
    assert Log().apply(changed(say(1, ts=0))).is_live
    assert not Log().apply(replace(changed(say(1, ts=2**45)), missed=True)).is_live
    assert not Log().apply(changed(say(1), reset=True)).is_live
    assert not Log().apply(changed()).is_live


def test_a_confirmed_message_takes_the_place_of_the_pending_one() -> None:
    log = Log()
    failed = say(None, "hi", "me", cid="c", delivery=Delivery.FAILED)
    log.apply(changed(failed))
    assert log.failed() == [failed]
    log.apply(changed(say(3, "hi", "me", cid="c")))
    assert log.failed() == []
    assert log.latest("me") == say(3, "hi", "me", cid="c")


def test_discarded_and_reset_lines_are_removed() -> None:
    log = Log()
    failed = say(None, "hi", "me", cid="c", delivery=Delivery.FAILED)
    log.apply(changed(failed, say(1, "yo", "bob")))
    log.apply(changed(removed=("c",)))
    assert log.failed() == []
    log.apply(changed(reset=True))
    assert log.latest() is None


def test_the_latest_message_is_neither_deleted_nor_an_event() -> None:
    log = Log()
    lines = (
        say(1, "one", "bob"),
        say(2, "", "bob", deleted=True),
        event(3, "join", "carol"),
    )
    log.apply(changed(*lines))
    assert log.latest() == lines[0]


def test_of_a_trimmed_log_only_the_newest_messages_are_kept() -> None:
    log = Log()
    for start in range(1, 2_000, 100):
        log.apply(page(start, start + 99, complete=True if start == 1 else None))
        log.trim()
    assert len(log) < 900
    assert log.line(1) is None
    assert log.line(2_000) is not None
    assert not log.complete


def test_a_change_holds_the_former_lines() -> None:
    log = Log()
    log.apply(changed(say(1), say(2), pending("a"), reset=True))
    assert log.apply(changed(say(2, "edited"), say(3, cid="a"))).before == {
        2: say(2),
        3: pending("a"),
    }
    assert log.apply(changed(say(1), say(9), reset=True)).before == {1: say(1)}


def test_replies_in_threads_have_no_line_but_count_on_their_root() -> None:
    log = Log()
    log.apply(changed(say(1, "root"), say(2, "reply", thread=1)))
    only = say(3, "aside", thread=1, thread_only=True)
    done = log.apply(replace(changed(), replies=(only,)))
    assert texts(log) == ["root", "reply"]
    assert (log.replies(1), done.touched) == (2, {1})
    log.apply(replace(changed(), replies=(replace(only, deleted=True),)))
    assert log.replies(1) == 1


def test_expired_messages_lose_their_text_and_their_replies() -> None:
    log = Log()
    log.apply(changed(say(1, "old"), event(2, "join"), say(3, "reply", thread=1), say(4, "new")))
    done = log.apply(replace(changed(), expired=3))
    assert [(line.text, line.deleted) for line in log if line.kind == "message"] == [
        ("", True),
        ("", True),
        ("new", False),
    ]
    assert done.touched == {1, 3}
    assert log.replies(1) == 0
    assert [step for step, _, _ in done.steps] == ["replace", "replace"]
