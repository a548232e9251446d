"""The retention of channels: old texts are erased in small steps, and nothing else is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from chat.store.accounts import ForceExpiry
from chat.store.channels import ChangeSettings, Expire, Expired, Kick, MuteMember
from chat.store.maintenance.backup import back_up, restore
from chat.store.operations import RunNextJob, SendMessage, User
from chat.store.search.search import Wanted
from chat.store.store import expire
from chat.store.write.messages.erasure import TEXTS
from chat.tokenizer import terms_of
from tests.serving import PATIENCE, eventually
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic

DAY = 86_400
HOUR = 3_600


class Clocks:
    """A wall clock and a monotonic one, both in seconds, which a test sets."""

    def __init__(self) -> None:
        self.wall = 1_000_000_000.0
        self.monotonic = 5_000.0

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    """Return clocks that stand still until they are set."""
    return Clocks()


@pytest.fixture
def store(open_store: Callable[..., OpenStore], clocks: Clocks) -> OpenStore:
    """Return an open store with these clocks."""
    return open_with(open_store, clocks)


def open_with(open_store: Callable[..., OpenStore], clocks: Clocks) -> OpenStore:
    return open_store(clock_ms=lambda: int(clocks.wall * 1_000), monotonic=lambda: clocks.monotonic)


def sweep(store: OpenStore, retention: int = DAY) -> list[Expired]:
    """Run all steps that are due; return them."""
    steps = [store.do(Expire(retention))]
    while not steps[-1].next_in:
        steps.append(store.do(Expire(retention)))
    return steps


def texts(store: OpenStore, user: User, channel: str = "#general") -> list[str]:
    """Return the texts of the messages of a channel."""
    log = store.log(user, channel)
    return [item.text for item in log if item.kind == "message" and item.text is not None]


def expiries(store: OpenStore, user: User, channel: str = "#general") -> list[int | None]:
    """Return the seqs up to which texts are expired, of each event."""
    return [item.up_to for item in store.log(user, channel) if item.kind == "expire"]


def regularly(store: OpenStore, clocks: Clocks, seconds: float, retention: int = DAY) -> None:
    """Let time pass with a sweep in each hour."""
    while seconds > 0:
        clocks.pass_(min(HOUR, seconds))
        seconds -= HOUR
        assert not any(step.refused or step.jump for step in sweep(store, retention))


def on_disk(store: OpenStore, *strings: str) -> list[str]:
    contents = [path.read_bytes() for path in store.folder.iterdir()]
    return [each for each in strings if any(each.encode() in one for one in contents)]


@pytest.mark.promise(
    7,
    fault="an expired text, its edit, its reactions and an old topic, searched for byte by byte",
    result="gone from the database's files",
)
def test_text_expires_after_the_retention_and_leaves_the_disk(
    store: OpenStore, alice: User, bob: User, clocks: Clocks
) -> None:
    seq = store.send(alice, "the-first-text")
    store.append(edit(alice, seq, "the-second-text"))
    store.append(react(bob, seq, "the-word"))
    store.append(topic(alice, "the-old-topic"))
    store.append(topic(alice, "the-topic"))
    store.wait_until_indexed()
    clocks.pass_(DAY - HOUR)
    kept = store.send(alice, "the-kept-text")
    assert sweep(store)[-1].next_in <= HOUR + 60
    assert texts(store, alice) == ["the-second-text", "the-kept-text"]
    regularly(store, clocks, 2 * HOUR)
    assert texts(store, alice) == ["the-kept-text"]
    item = store.item(alice, seq)
    assert (item.erased, item.reactions, item.edited) == (True, {}, True)
    assert expiries(store, alice) == [kept - 1]
    assert store.membership(alice).channel.topic == "the-topic"
    written = ("the-first-text", "the-second-text", "the-word", "the-old-topic")
    eventually(lambda: not on_disk(store, *written), "expired texts on the disk")
    assert on_disk(store, "the-kept-text")
    assert store.problems() == []


def test_search_forgets_expired_texts(store: OpenStore, alice: User, clocks: Clocks) -> None:
    store.send(alice, "find the needle")
    store.wait_until_indexed()
    wanted = Wanted(terms_of("needle"))
    assert store.read(lambda reader: reader.search(alice, None, wanted)).hits
    sweep(store)
    regularly(store, clocks, DAY + HOUR)
    assert not store.read(lambda reader: reader.search(alice, None, wanted)).hits
    assert store.problems() == []


def test_pinned_messages_and_roots_of_threads_expire(
    store: OpenStore, alice: User, bob: User, clocks: Clocks
) -> None:
    sweep(store)
    root = store.send(alice, "root")
    pinned = store.send(alice, "pinned")
    store.append(pin(bob, pinned))
    clocks.pass_(DAY / 2)
    late = store.append(SendMessage(bob, "#general", "late", reply_to=root, thread_only=True))
    store.append(edit(alice, pinned, "edited late"))
    regularly(store, clocks, DAY / 2 + HOUR)
    assert texts(store, alice) == ["late"]
    resumed = store.read(lambda reader: reader.resume(alice, "#general", None, limit=50, window=50))
    assert resumed.pins == ()
    page = store.read(lambda reader: reader.page(alice, "#general", thread=late.seq, limit=9))
    assert [(item.get("erased"), item.get("text")) for item in page.items] == [
        (True, None),
        (None, "late"),
    ]
    assert [each.unread for each in store.membership(alice).threads] == [1]
    reply = store.send(alice, "still", reply_to=root)
    assert store.item(alice, reply).thread == root
    assert store.problems() == []


def test_reasons_of_moderation_expire(
    store: OpenStore, alice: User, bob: User, clocks: Clocks
) -> None:
    sweep(store)
    store.join(alice, "#tea")
    store.join(bob, "#tea")
    store.do(MuteMember(alice, "#tea", "bob", reason="the-reason-of-the-mute"))
    kicked = store.do(Kick(alice, "#tea", "bob", reason="the-reason-of-the-kick"))
    assert kicked.seq is not None
    regularly(store, clocks, DAY + HOUR)
    item = store.item(alice, kicked.seq, "#tea")
    assert (item.kind, item.by, item.act, item.reason) == ("leave", "alice", "kick", None)
    eventually(lambda: not on_disk(store, "the-reason-of-the-kick"), "the reason on the disk")
    assert store.problems() == []


def test_steps_are_small_and_others_write_between_them(
    store: OpenStore, alice: User, clocks: Clocks
) -> None:
    sweep(store)
    store.together([message(alice, f"line {number}") for number in range(3 * TEXTS)])
    clocks.pass_(DAY + 60)
    assert store.do(Expire(DAY)).next_in == 0
    between = store.send(alice, "in between")
    assert len(texts(store, alice)) == 2 * TEXTS + 1
    assert len(sweep(store)) == 3
    assert texts(store, alice) == ["in between"]
    assert len(expiries(store, alice)) == 3
    assert store.item(alice, between).text == "in between"
    assert store.problems() == []


def test_nothing_expires_without_a_retention(store: OpenStore, alice: User, clocks: Clocks) -> None:
    store.send(alice, "kept")
    clocks.pass_(1_000 * DAY)
    assert not any(step.refused for step in sweep(store, 0))
    assert texts(store, alice) == ["kept"]


def test_channel_expires_at_its_own_shorter_retention_a_day_after_the_change(
    store: OpenStore, alice: User, clocks: Clocks
) -> None:
    store.join(alice, "#tea")
    for channel in ("#tea", "#general"):
        store.send(alice, "old", channel)
    clocks.pass_(10 * DAY)
    store.send(alice, "new", "#tea")
    sweep(store, 30 * DAY)
    store.do(ChangeSettings(alice, "#tea", retention=DAY))
    regularly(store, clocks, DAY - HOUR, 30 * DAY)
    assert texts(store, alice, "#tea") == ["old", "new"]
    regularly(store, clocks, 2 * HOUR, 30 * DAY)
    assert texts(store, alice, "#tea") == []
    assert texts(store, alice) == ["old"]
    store.send(alice, "newer", "#tea")
    store.do(ChangeSettings(alice, "#tea", retention=400 * DAY))
    regularly(store, clocks, 2 * DAY, 30 * DAY)
    assert texts(store, alice, "#tea") == ["newer"]


def test_retention_of_the_server_applies_while_another_one_is_announced(
    store: OpenStore, alice: User, clocks: Clocks
) -> None:
    store.join(alice, "#tea")
    store.send(alice, "old", "#tea")
    sweep(store, 3 * DAY)
    for retention in (30 * DAY, 31 * DAY, 32 * DAY, 33 * DAY):
        store.do(ChangeSettings(alice, "#tea", retention=retention))
        regularly(store, clocks, DAY - HOUR, 3 * DAY)
    assert texts(store, alice, "#tea") == []


class TestWrongClocks:
    def test_sweep_stops_while_the_clock_has_jumped(
        self, store: OpenStore, alice: User, clocks: Clocks
    ) -> None:
        sweep(store)
        store.send(alice, "kept")
        clocks.wall += 2 * DAY
        (step,) = sweep(store)
        assert step.jump == pytest.approx(2 * DAY)
        assert texts(store, alice) == ["kept"]
        clocks.wall -= 2 * DAY
        assert not sweep(store)[-1].jump

    @pytest.mark.promise(
        1,
        fault="the system clock is a year ahead when a server with a retention starts",
        result="nothing is erased until the operator forces it",
    )
    def test_wrong_clock_at_the_start_erases_no_more_than_a_tenth(
        self, open_store: Callable[..., OpenStore], clocks: Clocks
    ) -> None:
        store = open_with(open_store, clocks)
        alice = store.sign_in("alice")
        store.send(alice, "kept")
        store.store.close()
        clocks.wall += 400 * DAY
        store = open_with(open_store, clocks)
        general = store.membership(alice).channel.id
        assert [step.refused for step in sweep(store, 30 * DAY)] == [(general,)]
        assert texts(store, alice) == ["kept"]
        clocks.pass_(HOUR)
        assert sweep(store, 30 * DAY)[-1].refused == (general,)

    def test_few_overdue_texts_expire(self, store: OpenStore, alice: User, clocks: Clocks) -> None:
        for _ in range(3):
            store.send(alice, "old")
        clocks.pass_(20 * DAY)
        store.together([message(alice, "new") for _ in range(40)])
        assert not any(step.refused for step in sweep(store, 10 * DAY))
        assert texts(store, alice) == ["new"] * 40

    def test_new_retention_of_the_server_is_refused_until_it_is_forced(
        self, store: OpenStore, alice: User, clocks: Clocks
    ) -> None:
        store.together([message(alice, "old") for _ in range(5)])
        clocks.pass_(100 * DAY)
        store.send(alice, "new")
        assert sweep(store)[-1].refused
        store.do(ForceExpiry(None, DAY))
        while not store.do(RunNextJob()).is_last:
            pass
        assert texts(store, alice) == ["new"]
        assert store.acts[-1] == "expiry_forced"
        assert not sweep(store)[-1].refused

    def test_message_from_the_future_expires_with_its_successors(
        self, store: OpenStore, alice: User, clocks: Clocks
    ) -> None:
        sweep(store)
        store.send(alice, "one")
        clocks.wall += 50 * 365 * DAY
        store.send(alice, "from the future")
        clocks.wall -= 50 * 365 * DAY
        regularly(store, clocks, DAY / 2)
        store.send(alice, "three")
        regularly(store, clocks, DAY / 2 + HOUR)
        assert texts(store, alice) == ["from the future", "three"]
        regularly(store, clocks, DAY / 2)
        assert texts(store, alice) == []

    def test_message_from_the_past_takes_no_newer_one_along(
        self, store: OpenStore, alice: User, clocks: Clocks
    ) -> None:
        sweep(store)
        store.send(alice, "one")
        clocks.wall -= 20 * 365 * DAY
        store.send(alice, "from the past")
        clocks.wall += 20 * 365 * DAY
        store.send(alice, "three")
        regularly(store, clocks, DAY - 2 * HOUR)
        assert len(texts(store, alice)) == 3


def test_deleted_messages_and_messages_without_text_cause_no_event(
    store: OpenStore, alice: User, clocks: Clocks
) -> None:
    sweep(store)
    store.append(delete(alice, store.send(alice, "gone")))
    store.leave(alice, "#general")
    store.join(alice, "#general")
    regularly(store, clocks, DAY + HOUR)
    assert expiries(store, alice) == []


def test_sweep_looks_at_every_channel(store: OpenStore, alice: User, clocks: Clocks) -> None:
    names = [f"#c{number}" for number in range(450)]
    sweep(store)
    for name in names:
        store.join(alice, name)
        store.send(alice, "old", name)
    clocks.pass_(DAY + 60)
    sweep(store)
    assert [name for name in names if texts(store, alice, name)] == []


def test_expiry_continues_after_a_restart(
    open_store: Callable[..., OpenStore], clocks: Clocks
) -> None:
    store = open_with(open_store, clocks)
    alice = store.sign_in("alice")
    store.together([message(alice, f"line {number}") for number in range(2 * TEXTS + 50)])
    store.do(ForceExpiry(None, DAY))
    clocks.pass_(DAY + 60)
    store.do(RunNextJob())
    store.store.close()
    store = open_with(open_store, clocks)
    assert store.read(lambda reader: reader.accounts.has_jobs())
    while not store.do(RunNextJob()).is_last:
        pass
    assert texts(store, alice) == []
    assert store.problems() == []


def test_command_beside_a_server_starts_a_sweep_that_the_server_runs(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store()  # its clock begins in 1970, that of a command is right
    alice = store.sign_in("alice")
    store.send(alice, "one")
    with ThreadPoolExecutor(1) as thread:
        command = thread.submit(expire, store.url, DAY, PATIENCE)
        eventually(lambda: store.acts[-1:] == ["expiry_forced"], "the server learns of the job")
        store.set_clock(int(time.time()))
        while not store.do(RunNextJob()).is_last:
            pass
        assert command.result(PATIENCE)
    assert texts(store, alice) == []
    assert store.problems() == []


def test_command_expires_by_itself_if_no_server_runs(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store()
    alice = store.sign_in("alice")
    store.send(alice, "one")
    store.store.close()
    assert expire(store.url, DAY, PATIENCE)
    store = open_store()
    assert texts(store, alice) == []


def test_backup_taken_meanwhile_is_whole_and_expires_after_its_restore(
    open_store: Callable[..., OpenStore], clocks: Clocks
) -> None:
    store = open_with(open_store, clocks)
    alice = store.sign_in("alice")
    store.together([message(alice, f"line {number}") for number in range(2 * TEXTS)])
    clocks.pass_(DAY + 60)
    store.do(ForceExpiry(None, DAY))
    store.do(RunNextJob())
    backup = store.folder.parent / "backup.db"
    back_up(store.url, backup)
    store.store.close()
    restore(store.url, backup)
    store = open_with(open_store, clocks)
    assert len(texts(store, alice)) == TEXTS
    while not store.do(RunNextJob()).is_last:
        pass
    assert texts(store, alice) == []
    assert store.problems() == []


def test_check_finds_a_text_that_should_have_expired(
    store: OpenStore, alice: User, clocks: Clocks
) -> None:
    sweep(store)
    seq = store.send(alice, "old")
    regularly(store, clocks, DAY + HOUR)
    with closing(sqlite3.connect(store.file)) as other, other:
        other.execute("UPDATE events SET text = 'old' WHERE seq = ?", (seq,))
    assert any("is expired but still has text" in each for each in store.problems())
