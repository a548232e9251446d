"""The writer thread: order, group commit, failing operations, disk errors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.protocol.values import Limits
from chat.store.operations import Appended, Commit, JoinChannel, MarkRead, PendingCall, User
from chat.store.store import Store
from tests.serving import PATIENCE, eventually
from tests.store.conftest import Backend
from tests.store.opened import OpenStore, message, topic


def seqs(outcomes: Sequence[object]) -> list[int | None]:
    return [each.seq if isinstance(each, Appended) else None for each in outcomes]


def test_queued_operations_share_one_commit_in_order(store: OpenStore, alice: User) -> None:
    store.commits.clear()
    operations = [message(alice, f"{number}") for number in range(50)]
    assert seqs(store.together(operations)) == list(range(2, 52))
    held, commit = store.commits
    assert len(held.operations) == 1
    assert [pending.operation for pending in commit.operations] == operations


def test_waiting_operations_are_counted(store: OpenStore, alice: User) -> None:
    store.gate.clear()
    first = store.submit([message(alice, "one")])
    assert seqs(first()) == [2]  # its commit is being delivered
    others = [store.submit([message(alice, "two"), message(alice, "three")]) for _ in range(3)]
    assert store.store.waiting == 6
    store.gate.set()
    assert [seqs(wait()) for wait in others] == [[3, 4], [5, 6], [7, 8]]
    eventually(lambda: store.store.waiting == 0, "nothing waits")


def test_a_commit_that_does_not_end_is_a_fault(backend: Backend, tmp_path: Path) -> None:
    with OpenStore(backend.fresh(tmp_path), stalled_after=0.1) as store:
        alice = store.sign_in("alice")
        store.gate.clear()
        store.send(alice)
        outcome = store.submit([message(alice)])
        eventually(lambda: store.store.healthy() is not None, "the fault is reported")
        assert "no commit has finished for" in (store.store.healthy() or "")
        store.gate.set()
        assert seqs(outcome()) == [3]
        eventually(lambda: store.store.healthy() is None, "the recovery is reported")


def test_a_commit_has_the_time_that_it_took(store: OpenStore, alice: User) -> None:
    before = time.monotonic()
    store.commits.clear()
    store.send(alice)
    (commit,) = store.commits
    assert before <= commit.began < commit.ended <= time.monotonic()


def test_operations_in_quick_succession_share_a_commit(backend: Backend, tmp_path: Path) -> None:
    with OpenStore(backend.fresh(tmp_path), gather=2.0) as store:
        alice, bob = store.sign_in("alice"), store.sign_in("bob")
        store.together([message(alice)] * 8)
        outcomes = [store.submit([message(bob)]) for _ in range(3)]
        assert [seqs(wait()) for wait in outcomes] == [[11], [12], [13]]
        assert len(store.commits[-1].operations) == 3


def test_users_who_wait_for_their_answers_are_not_delayed(backend: Backend, tmp_path: Path) -> None:
    with OpenStore(backend.fresh(tmp_path), gather=2 * PATIENCE) as store:
        users = [store.sign_in(name) for name in ("alice", "bob", "carol")]
        store.together([message(user) for user in users] * 3)
        for _ in range(10):
            outcomes = [store.submit([message(user)]) for user in users]
            for wait in outcomes:
                assert wait()


def test_operations_that_wait_for_each_other_are_not_delayed(
    backend: Backend, tmp_path: Path
) -> None:
    with OpenStore(backend.fresh(tmp_path), gather=2 * PATIENCE) as store:
        alice = store.sign_in("alice")
        for number in range(10):
            assert store.send(alice, f"{number}") == number + 2


def test_refusal_keeps_the_order_of_operations(store: OpenStore, alice: User) -> None:
    done = store.together(
        [message(alice), message(alice, channel="#none"), topic(alice, "t"), message(alice)]
    )
    assert seqs(done) == [2, None, 3, 4]
    assert isinstance(done[1], CommandError)
    assert done[1].__traceback__ is None
    assert [item.seq for item in store.log(alice)] == [1, 2, 3, 4]


def test_committed_events_are_readable_when_they_are_reported(
    store: OpenStore, alice: User
) -> None:
    for number in range(20):
        seq = store.send(alice, f"{number}")
        assert store.log(alice)[-1].seq == seq


def test_any_thread_can_submit(store: OpenStore, alice: User) -> None:
    def submit() -> None:
        for outcomes in [store.submit([message(alice)]) for _ in range(50)]:
            outcomes()

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [item.seq for item in store.log(alice)] == list(range(1, 202))


NOT_UTF_8 = "\ud800"
"""A text that the protocol refuses and the database cannot store."""


class TestBadOperations:
    def test_other_operations_of_the_commit_succeed(
        self, store: OpenStore, alice: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, logger="chat.store.write.writer")
        for bad in (message(alice, NOT_UTF_8), topic(alice, None)):  # type: ignore[arg-type]
            cid = bad.kind
            head = store.membership(alice).channel.head
            done = store.together(
                [message(alice, "one", cid=cid), bad, message(alice, "two", cid=cid)]
            )
            assert seqs(done) == [head + 1, None, head + 1]
            assert isinstance(done[1], StoreUnavailable)
            assert store.send(alice) == head + 2
            assert [item.text for item in store.log(alice)[head:]] == ["one", "hello"]
            assert store.store.healthy() is None

    def test_log_names_the_operation_without_its_text(
        self, store: OpenStore, alice: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.outcome(message(alice, f"secret {NOT_UTF_8}"))
        assert "an operation failed: SendMessage" in caplog.text
        assert "secret" not in caplog.text


class TestBadDisks:
    @pytest.fixture
    def store(self, open_store: Callable[..., OpenStore]) -> OpenStore:
        return open_store(probe_every=0.05)

    @pytest.fixture
    def fail(self) -> Iterator[threading.Event]:
        """Return an event: while it is set, every COMMIT fails."""
        failing = threading.Event()

        def commit(_connection: object) -> None:
            if failing.is_set():
                raise OperationalError("COMMIT", None, Exception("database or disk is full"))

        event.listen(Engine, "commit", commit)
        yield failing
        event.remove(Engine, "commit", commit)

    def test_writing_operations_fail_with_unavailable(
        self, store: OpenStore, alice: User, bob: User, fail: threading.Event
    ) -> None:
        store.send(alice, cid="c")
        fail.set()
        refused, repeated, sent, marked = store.together(
            [
                message(alice, channel="#none"),
                message(alice, cid="c"),
                message(alice),
                MarkRead(bob, "#general", 1),
            ]
        )
        assert isinstance(refused, CommandError)
        assert isinstance(repeated, Appended)
        for outcome in (sent, marked):
            assert isinstance(outcome, StoreUnavailable)
        assert "disk is full" in (store.store.healthy() or "")
        fail.clear()
        assert store.send(alice) == 4
        assert store.store.healthy() is None
        assert [item.seq for item in store.log(alice)] == [1, 2, 3, 4]

    def test_results_that_depend_on_a_rollback_are_not_reported(
        self, store: OpenStore, alice: User, fail: threading.Event
    ) -> None:
        fail.set()
        done = store.together([message(alice, cid="c"), topic(alice, "t", cid="c")])
        assert all(isinstance(outcome, StoreUnavailable) for outcome in done)
        fail.clear()
        assert not store.append(topic(alice, "t", cid="c")).duplicate

    def test_rollback_clears_cached_state(
        self, store: OpenStore, alice: User, fail: threading.Event
    ) -> None:
        fail.set()
        assert isinstance(store.outcome(JoinChannel(alice, "#none")), StoreUnavailable)
        fail.clear()
        assert store.refused(message(alice, channel="#none")) is ErrorCode.NO_SUCH_CHANNEL
        assert store.send(alice) == 2

    def test_writer_recovers_without_operations(
        self,
        store: OpenStore,
        alice: User,
        fail: threading.Event,
    ) -> None:
        fail.set()
        assert isinstance(store.outcome(message(alice)), StoreUnavailable)
        assert store.store.healthy()
        fail.clear()
        eventually(lambda: store.store.healthy() is None, "recovery without a command")

    def test_intermittent_write_errors_are_logged_once(
        self,
        store: OpenStore,
        alice: User,
        fail: threading.Event,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for _ in range(5):
            fail.set()
            assert isinstance(store.outcome(message(alice)), StoreUnavailable)
            fail.clear()
            store.send(alice)
        eventually(lambda: "accepting writes again" in caplog.text, "the log tells the recovery")
        logged = [line for line in caplog.messages if "accepting writes" in line]
        assert ["is not accepting writes" in line for line in logged] == [True, False]

    def test_recovery_is_logged_at_the_latest_on_close(
        self,
        store: OpenStore,
        alice: User,
        fail: threading.Event,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        fail.set()
        assert isinstance(store.outcome(message(alice)), StoreUnavailable)
        fail.clear()
        store.send(alice)
        store.store.close()
        assert caplog.text.count("accepting writes again") == 1


def test_failing_callback_does_not_stop_the_writer(
    backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Commit] = []

    def committed(commit: Commit) -> None:
        calls.append(commit)
        raise ZeroDivisionError

    store = Store.open(backend.fresh(tmp_path), limits=Limits(), committed=committed)
    for _ in range(2):
        store.submit([PendingCall(MarkRead(User(1, "a"), "#general", 1), print, print)])
    eventually(lambda: sum(len(each.operations) for each in calls) == 2, "both operations")
    store.close()
    assert "cannot deliver a commit" in caplog.text
