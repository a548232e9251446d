"""The log of loaded lines: numbered ones by number, the others behind them as they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.state import Delivery, Message
from chat.client.tui.timeline.log import Log
from tests.client.tui.timeline.lines import changed, page, say


def pending(cid: str) -> Message:
    return say(None, cid, cid=cid, delivery=Delivery.PENDING)


def texts(log: Log) -> list[str]:
    return [message.text for message in log]


@given(st.lists(st.lists(st.integers(1, 300), max_size=20), max_size=20))
def test_lines_stand_in_the_order_of_their_numbers_however_they_came(
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
def test_splices_tell_a_follower_all_there_is_to_know(pages: list[list[int]]) -> None:
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


def test_what_has_no_number_stands_last_until_it_gets_one() -> None:
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


def test_a_pending_line_that_is_told_again_is_replaced() -> None:
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
    assert done.cleared
    assert (log.first_seq, log.last_seq, len(log)) == (20, 22, 3)
    assert not log.complete
    assert not log.gaps


def test_gaps_and_completeness_stay_as_they_are_unless_told() -> None:
    log = Log()
    log.apply(page(5, 9, complete=True, gap_before=(7,)))
    log.apply(page(10, 10))
    assert (log.complete, log.gaps) == (True, frozenset({7}))
    log.apply(changed(gap_before=(8,), complete=False))
    assert (log.complete, log.gaps) == (False, frozenset({8}))
