"""State plus events equals freshly fetched state, whatever the network loses or repeats."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.client.model.fold import SHOWN_KINDS, message_of, without_text
from chat.client.model.log_view import BrokenLog, LogView
from chat.client.model.state import Message
from chat.protocol.frames import Page
from chat.protocol.items import Event
from tests.client.fake_log import FakeLog

ME = "alice"
NAMES = (ME, "bob", "carol")


class Follower:
    """A view with its stored lines, as in an account."""

    def __init__(self) -> None:
        self.stored: dict[int, Message] = {}
        self.view = LogView("#c", ME, self.stored.get, self.stored.clear, self.expire)

    def expire(self, up_to: int, seq: int) -> None:
        for at, line in self.stored.items():
            if at <= up_to:
                self.stored[at] = without_text(line, seq)

    def flush(self) -> None:
        self.stored.update(self.view.changed)
        self.view.changed.clear()

    def lines(self) -> dict[int, Message]:
        return dict(sorted({**self.stored, **self.view.changed}.items()))

    def read_on(self, log: FakeLog, limit: int = 7) -> None:
        """Read the missing entries, as the client does."""
        while True:
            page = log.page_after(self.view.position, limit)
            self.view.apply_after(page)
            if page.complete and not self.view.needs_repair:
                return

    def read_back(self, log: FakeLog) -> None:
        while self.view.position and self.view.coverage.spans != [(1, self.view.position)]:
            before = self.view.coverage.spans[-1][0]
            self.view.page_requested()
            self.view.apply_before(log.page_before(before, 5), before)
            self.view.page_received()


def fetched_anew(log: FakeLog) -> dict[int, Message]:
    items = (log.item(seq) for seq in range(1, log.head + 1))
    return {i.seq: message_of(log.channel, i) for i in items if i.kind in SHOWN_KINDS}


def as_shown(lines: dict[int, Message]) -> dict[int, Message]:
    """Return the lines without the `rev` of erased ones, which never change again."""
    return {seq: replace(line, rev=0) if line.deleted else line for seq, line in lines.items()}


def grow(log: FakeLog, dice: random.Random) -> None:
    """Append one event that a server would accept."""
    messages = [e.seq for e in log.events if e.kind == "message"]
    alive = [seq for seq in messages if not log.item(seq).erased]
    kind = dice.choice(
        [
            *("message", "message", "edit", "delete", "react", "react", "pin", "topic", "mute"),
            *("new", "expire"),
        ]
    )
    up_to = max((e.up_to or 0 for e in log.events), default=0)
    author = dice.choice(NAMES)
    mentions = tuple(name for name in NAMES if dice.random() < 0.3)
    if kind == "new":
        log.append(author, "poll")
    elif kind == "topic":
        log.append(author, "topic", topic=f"t{log.head}")
    elif kind == "mute":
        log.append(author, "mute", user=dice.choice(NAMES), reason=f"r{log.head}")
    elif kind == "expire" and up_to < log.head:
        log.append("server", "expire", up_to=dice.randrange(up_to, log.head) + 1)
    elif kind in ("message", "expire") or not alive:
        is_reply = bool(alive) and dice.random() < 0.2
        root = dice.choice(alive) if is_reply else None
        thread: dict[str, Any] = {"reply_to": root, "thread": root, "thread_only": is_reply}
        log.append(author, text=f"m{log.head}", mentions=mentions, me=dice.random() < 0.2, **thread)
    elif kind == "edit":
        target = dice.choice(alive)
        log.append(
            log.events[target - 1].author,
            "edit",
            target=target,
            text=f"e{log.head}",
            mentions=mentions,
        )
    elif kind == "pin":
        target = dice.choice(alive)
        log.append(author, "pin", target=target, remove=log.item(target).pinned)
    elif kind == "delete":
        log.append(author, "delete", target=dice.choice(alive))
    else:
        target, emoji = dice.choice(alive), dice.choice("ab")
        has = author in log.item(target).reactions.get(emoji, ())
        log.append(author, "react", target=target, emoji=emoji, remove=has)


class BadNetwork:
    """Delivers events and pages to a follower: some late, some twice, some never."""

    def __init__(self, log: FakeLog, follower: Follower, dice: random.Random) -> None:
        self.log, self.follower, self.view, self.dice = log, follower, follower.view, dice
        self.behind: list[Event] = []
        self.waiting: tuple[Page, int] | None = None

    def run(self) -> None:
        for _ in range(self.dice.randrange(40)):
            grow(self.log, self.dice)
            self.bring(self.log.events[-1])
            self.bring_page()
            if self.dice.random() < 0.2:
                self.follower.flush()
            if self.dice.random() < 0.1:
                self.follower.read_on(self.log, limit=3)
        if self.waiting is not None:
            self.arrive()

    def bring(self, event: Event) -> None:
        fate = self.dice.choice(["come", "come", "come", "lost", "late", "twice"])
        if fate == "late":
            self.behind.append(event)
        elif fate != "lost":
            for _ in range(2 if fate == "twice" else 1):
                self.view.apply_event(event)
        if self.behind and self.dice.random() < 0.3:
            self.view.apply_event(self.behind.pop(self.dice.randrange(len(self.behind))))

    def bring_page(self) -> None:
        spans = self.view.coverage.spans
        if self.waiting is not None:
            if self.dice.random() < 0.5:
                self.arrive()
        elif spans and spans[-1][0] > 1 and self.dice.random() < 0.2:
            self.view.page_requested()
            self.waiting = self.log.page_before(spans[-1][0], 4), spans[-1][0]

    def arrive(self) -> None:
        assert self.waiting is not None
        self.view.apply_before(*self.waiting)
        self.view.page_received()
        self.waiting = None


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_state_with_events_equals_freshly_fetched_state(seed: int) -> None:
    dice = random.Random(seed)
    log, follower = FakeLog("#c"), Follower()
    for _ in range(dice.randrange(30)):
        grow(log, dice)
    follower.view.apply_joined(log.joined(ME, limit=10))
    for _ in range(3):
        BadNetwork(log, follower, dice).run()
        if dice.random() < 0.5:
            follower.view.detach()
            joined = log.joined(ME, after=follower.view.position, limit=5)
            follower.view.apply_joined(joined)
        follower.read_on(log)
    follower.read_back(log)
    assert follower.view.position == log.head
    assert as_shown(follower.lines()) == as_shown(fetched_anew(log))
    assert follower.view.is_countable
    if not follower.view.needs_recount:
        assert (follower.view.unread, follower.view.mentions) == log.counts(ME, 0)


def follower_at(log: FakeLog) -> Follower:
    follower = Follower()
    follower.view.apply_joined(log.joined(ME))
    return follower


def log_of(*texts: str) -> FakeLog:
    log = FakeLog("#c")
    for text in texts:
        log.append("bob", text=text)
    return log


def test_an_event_after_a_gap_is_buffered_until_the_gap_is_read() -> None:
    log = log_of("one")
    follower = follower_at(log)
    log.append("bob", text="two")
    third = log.append("bob", text="three")
    assert follower.view.apply_event(third).lines == ()
    assert follower.view.needs_repair
    change = follower.view.apply_after(log.page_after(1, head=2))
    assert [line.text for line in change.lines] == ["two", "three"]
    assert not follower.view.needs_repair


def test_a_heartbeat_reveals_a_lost_last_event() -> None:
    follower = follower_at(log_of("one"))
    follower.view.apply_head(1)
    assert not follower.view.needs_repair
    follower.view.apply_head(2)
    assert follower.view.needs_repair


def test_a_page_with_a_gap_is_a_broken_log() -> None:
    log = log_of("one")
    follower = follower_at(log)
    log.append("bob", text="two")
    log.append("bob", text="three")
    page = log.page_after(1)
    holed = page.model_copy(update={"items": page.items[1:]})
    with pytest.raises(BrokenLog):
        follower.view.apply_after(holed)


def test_a_page_that_wrongly_claims_to_be_the_last_is_a_broken_log() -> None:
    log = log_of("one")
    follower = follower_at(log)
    log.append("bob", text="two")
    empty = log.page_after(1).model_copy(update={"items": ()})
    with pytest.raises(BrokenLog):
        follower.view.apply_after(empty)


def test_a_position_unknown_to_the_server_drops_all_lines() -> None:
    follower = follower_at(log_of("one", "two", "three"))
    follower.flush()
    restored = FakeLog("#c", epoch="e2")
    restored.append("bob", text="another life")
    change = follower.view.apply_joined(restored.joined(ME))
    assert change.reset
    assert [line.text for line in follower.lines().values()] == ["another life"]
    assert follower.view.resume is not None
    assert follower.view.resume.epoch == "e2"


def test_the_newest_page_leaves_a_visible_gap_before_it() -> None:
    log = log_of(*(f"m{n}" for n in range(100)))
    follower = Follower()
    follower.view.apply_joined(log.joined(ME, limit=10))
    assert follower.view.coverage.gaps_from(1) == (91,)
    follower.view.apply_before(log.page_before(91, 200), 91)
    assert follower.view.coverage.gaps_from(1) == ()


def test_an_edit_received_while_its_page_is_pending_is_not_lost() -> None:
    log = log_of(*(f"m{n}" for n in range(60)))
    follower = follower_at(log)
    follower.view.page_requested()
    page = log.page_before(11)
    follower.view.apply_event(log.append("bob", "edit", target=5, text="better"))
    change = follower.view.apply_before(page, 11)
    assert change.lines[4].text == "better"
    assert follower.lines()[5].text == "better"


def test_own_messages_are_never_unread_and_mentions_ignore_case() -> None:
    log = log_of()
    follower = follower_at(log)
    for author, mentions in (("Alice", ()), ("bob", ("ALICE",)), ("bob", ())):
        follower.view.apply_event(log.append(author, text="x", mentions=mentions))
    assert (follower.view.unread, follower.view.mentions) == (2, 1)


def test_a_server_marker_behind_the_local_one_changes_nothing() -> None:
    log = log_of("one", "two")
    follower = follower_at(log)
    follower.view.apply_mark(2, 0, 0)
    follower.view.apply_counts(1, 1, 0, 2)
    assert (follower.view.read, follower.view.unread) == (2, 0)


def test_events_included_in_earlier_counts_are_counted_once() -> None:
    log = log_of("one", "two")
    follower = follower_at(log)
    follower.view.apply_counts(2, 1, 0, head=3)
    follower.view.apply_event(log.append("bob", text="three"))
    follower.view.apply_event(log.append("bob", text="four"))
    assert (follower.view.unread, follower.view.needs_recount) == (2, False)


def test_counts_older_than_the_log_need_a_recount() -> None:
    log = log_of("one", "two")
    follower = follower_at(log)
    follower.view.apply_event(log.append("bob", text="three"))
    follower.view.apply_counts(2, 0, 0, head=2)
    assert follower.view.needs_recount
    assert follower.view.is_countable


def test_events_received_while_the_local_marker_was_ahead_are_counted() -> None:
    log = log_of("one", "two")
    follower = follower_at(log)
    follower.view.apply_mark(2, 0, 0)
    follower.view.detach()
    log.append("bob", text="three")
    follower.view.apply_joined(log.joined(ME, after=2))
    assert follower.view.unread == 1


def test_a_line_stored_first_by_another_client_is_new_here() -> None:
    log = log_of("one")
    follower, other = follower_at(log), follower_at(log)
    other.stored = follower.stored
    other.view = LogView("#c", ME, other.stored.get, other.stored.clear)
    log.append("bob", text="two")
    other.read_on(log)
    other.flush()
    change = follower.view.apply_after(log.page_after(1))
    assert [line.text for line in change.lines] == ["two"]
    assert follower.view.needs_recount, "whether it was counted is not known"


def test_buffered_events_are_bounded() -> None:
    log = log_of("one")
    follower = follower_at(log)
    log.append("bob", text="two")
    for seq in range(3, 100):
        follower.view.apply_event(event_of(seq, "x" * 1_000_000))
    assert follower.view.needs_repair
    change = follower.view.apply_after(log.page_after(1))
    assert [line.seq for line in change.lines] == [2, 3, 4, 5, 6]


def event_of(seq: int, text: str) -> Event:
    return Event(
        channel="#c", seq=seq, mid=f"m{seq}", ts=1, author="bob", kind="message", text=text
    )
