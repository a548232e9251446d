"""Two stores on one database: each answer counts for both, whatever happens at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import psycopg
import pytest

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.store.accounts import AddBan, SignIn
from chat.store.channels import IgnoreUser, InviteToChannel, Kick, SetChannelRole
from chat.store.operations import (
    Appended,
    JoinChannel,
    Prefer,
    RunNextJob,
    SendMessage,
    User,
)
from chat.store.postgresql.engine import IDLE_SECONDS, connect
from chat.store.postgresql.tables import COMMIT_LOCK
from tests.serving import PATIENCE, eventually
from tests.store.conftest import PostgresqlBackend
from tests.store.opened import OpenStore, edit, message, react

pytestmark = pytest.mark.postgresql

ROUNDS = 25


@pytest.fixture
def other(open_store: Callable[..., OpenStore]) -> OpenStore:
    """Return a second store on the database of `store`."""
    return open_store()


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Run the actions in threads that start together; return their results."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        start.wait(PATIENCE)
        return action()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(run, actions))


def database_of(store: OpenStore) -> str:
    """Return the name of the store's database."""
    return store.url.partition("@/")[2].partition("?")[0]


def test_one_cid_through_both_is_stored_once(
    store: OpenStore, other: OpenStore, alice: User
) -> None:
    for number in range(ROUNDS):
        operation = message(alice, "hello", cid=f"{number:032x}")
        first, second = at_once(partial(store.do, operation), partial(other.do, operation))
        assert isinstance(first, Appended)
        assert isinstance(second, Appended)
        assert (first.seq, first.mid, first.ts) == (second.seq, second.mid, second.ts)
        assert first.duplicate != second.duplicate
    assert store.membership(alice).channel.head == 1 + ROUNDS


def test_one_cid_in_two_channels_is_stored_once(
    store: OpenStore, other: OpenStore, alice: User
) -> None:
    store.join(alice, "#dev")
    for number in range(ROUNDS):
        cid = f"{number:032x}"
        outcomes = at_once(
            partial(store.outcome, message(alice, "hello", cid=cid)),
            partial(other.outcome, message(alice, "hello", "#dev", cid=cid)),
        )
        refused = [each for each in outcomes if isinstance(each, CommandError)]
        assert [each.code for each in refused] == [ErrorCode.CID_REUSED]
    assert store.problems() == []


def test_hot_channel_has_one_log(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    def send(through: OpenStore, user: User) -> list[int]:
        return [
            done.seq
            for number in range(ROUNDS)
            for done in through.submit([message(user, f"{number} {each}") for each in range(4)])()
            if isinstance(done, Appended) and done.seq is not None
        ]

    mine, theirs = at_once(lambda: send(store, alice), lambda: send(other, bob))
    assert isinstance(mine, list)
    assert isinstance(theirs, list)
    assert sorted(mine) == mine
    assert sorted(theirs) == theirs
    assert sorted(mine + theirs) == list(range(3, 3 + 8 * ROUNDS))
    assert [item.seq for item in store.log(alice)] == list(range(1, 3 + 8 * ROUNDS))
    assert store.problems() == []


def test_overlapping_channels_in_opposite_order_do_not_deadlock(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    names = ["#a", "#b", "#c", "#d"]
    for user in (alice, bob):
        for name in names:
            store.join(user, name)

    def send(through: OpenStore, user: User, order: list[str]) -> bool:
        batch = [message(user, "hello", name) for name in order]
        return all(
            isinstance(done, Appended) for _ in range(ROUNDS) for done in through.together(batch)
        )

    sent = at_once(
        lambda: send(store, alice, names), lambda: send(other, bob, list(reversed(names)))
    )
    assert sent == [True, True]
    assert store.problems() == []


def test_changes_of_one_message_through_both_are_consistent(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    seq = store.send(alice, "tea?")
    for number in range(ROUNDS):
        at_once(
            partial(store.do, edit(alice, seq, f"tea {number}?")),
            partial(other.do, react(bob, seq, "👍", remove=bool(number % 2))),
        )
    assert store.item(alice, seq).text == other.item(bob, seq).text
    assert store.problems() == []


def test_nobody_writes_after_a_kick(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    store.join(alice, "#dev")
    for _ in range(ROUNDS):
        other.do(JoinChannel(bob, "#dev"))

        def kick() -> int:
            done = store.do(Kick(alice, "#dev", "Bob"))
            assert done.seq is not None
            return done.seq

        def send() -> list[int]:
            sent: list[int] = []
            while isinstance(done := other.outcome(message(bob, "me", "#dev")), Appended):
                assert done.seq is not None
                sent.append(done.seq)
            assert isinstance(done, CommandError)
            assert done.code is ErrorCode.NOT_A_MEMBER
            return sent

        kicked, sent = at_once(kick, send)
        assert isinstance(sent, list)
        assert all(seq < kicked for seq in sent)
    assert store.problems() == []


def test_one_name_claimed_through_both_is_one_account(store: OpenStore, other: OpenStore) -> None:
    for number in range(ROUNDS):
        name = f"user{number}"
        outcomes = at_once(
            partial(store.outcome, SignIn(name, None, b"one" * 10)),
            partial(other.outcome, SignIn(name, None, b"two" * 10)),
        )
        refused = [each.code for each in outcomes if isinstance(each, CommandError)]
        assert refused == [ErrorCode.NAME_TAKEN]
    assert store.problems() == []


def test_acts_through_one_count_for_the_next_operation_through_the_other(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    store.join(alice, "#dev")
    store.join(bob, "#dev")
    assert other.send(bob, "fills the caches", "#dev")
    store.do(SetChannelRole(alice, "#dev", "Bob", "moderator"))
    assert other.do(InviteToChannel(bob, "#dev", "alice")).invitation is None
    store.do(Kick(alice, "#dev", "Bob"))
    assert other.refused(message(bob, "hello", "#dev")) is ErrorCode.NOT_A_MEMBER
    assert other.send(bob, "hello")
    store.do(AddBan(None, "Bob", None, None, "spam"))
    assert other.refused(message(bob, "hello")) is ErrorCode.BANNED


def test_acts_through_one_are_delivered_by_the_other(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    store.do(AddBan(None, "Bob", None, None, "spam"))
    eventually(lambda: other.acts[-1:] == ["banned"], "the ban is delivered")
    other.send(alice, "between")
    other.sign_in("carol")
    eventually(lambda: store.acts[-1:] == ["created"], "the sign-up is delivered")
    assert [entry.seq for entry in store.entries] == list(range(1, len(store.entries) + 1))


def test_notices_tell_what_no_followed_log_does(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    last = other.read(lambda reader: reader.generation())
    store.do(JoinChannel(alice, "#dev"))
    store.do(InviteToChannel(alice, "#dev", "Bob"))
    store.do(JoinChannel(bob, "#dev"))
    store.do(SendMessage(alice, "@alice,Bob", "hello"))
    store.do(Prefer(bob, "@alice,Bob", hidden=True))
    store.do(SendMessage(alice, "@alice,Bob", "hello again"))
    store.send(alice, "an ordinary message needs no notice")
    store.do(IgnoreUser(bob, "alice"))
    store.do(Kick(alice, "#dev", "Bob"))
    notices = other.read(lambda reader: reader.notices_after(last))
    assert notices is not None
    assert [each.generation for each in notices] == list(range(last + 1, last + 9))
    joined, invited, accepted, opened, hidden, shown, ignoring, kicked = notices
    assert joined.listed == [("alice", "#dev", 1)]
    ((name, invitation),) = invited.invited
    assert (name, invitation.channel, invitation.by) == ("Bob", "#dev", "alice")
    assert accepted.listed == [("Bob", "#dev", 2)]
    assert accepted.uninvited == [("Bob", invitation)]
    direct = store.membership(alice, "@alice,Bob").channel.name
    assert sorted(opened.listed) == [("Bob", direct, 0), ("alice", direct, 0)]
    assert hidden.hidden == [("Bob", direct, 1)]
    assert shown.listed == [("Bob", direct, 2)]
    assert [(name, list(names)) for name, names in ignoring.ignored] == [("Bob", ["alice"])]
    assert kicked.left == [("Bob", "#dev", 3)]
    own = [commit.notice for commit in store.commits if commit.notice is not None][-8:]
    assert [each.generation for each in own] == [each.generation for each in notices]
    newest = notices[-1].generation
    assert other.read(lambda reader: reader.notices_after(newest)) == []


def test_jobs_run_by_both_are_done_once(
    store: OpenStore, other: OpenStore, alice: User, bob: User
) -> None:
    for number in range(5):
        store.join(alice, f"#own{number}")
        store.join(bob, f"#own{number}")
    store.do(AddBan(None, "alice", None, None, ""))

    def run(through: OpenStore) -> bool:
        while not through.do(RunNextJob()).is_last:
            pass
        return True

    assert at_once(lambda: run(store), lambda: run(other)) == [True, True]
    roles = {other.membership(bob, f"#own{number}").role for number in range(5)}
    assert roles == {"owner"}
    assert store.problems() == []


def test_hung_server_holds_up_the_others_for_seconds_only(store: OpenStore, alice: User) -> None:
    hung = connect(store.url)
    hung.execute(f"SELECT pg_advisory_xact_lock({COMMIT_LOCK})".encode())
    began = time.monotonic()
    outcome = store.outcome(message(alice, "hello"))
    waited = time.monotonic() - began
    assert isinstance(outcome, Appended)
    assert waited > IDLE_SECONDS / 2
    with pytest.raises(psycopg.Error, match="idle-in-transaction"):
        hung.execute("SELECT 1")


@contextmanager
def held_in_commit(backend: PostgresqlBackend) -> Iterator[None]:
    """Let commits wait after they are on disk, for a standby that never comes."""
    settings = ("ALTER SYSTEM SET synchronous_standby_names = 'absent'", "SELECT pg_reload_conf()")
    for each in settings:
        backend.server.execute(each)
    try:
        eventually(lambda: is_commit_held(backend), "PostgreSQL has reloaded its settings")
        yield
    finally:
        for each in ("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"):
            backend.server.execute(each)


def is_commit_held(backend: PostgresqlBackend) -> bool:
    """Whether a commit waits for a standby."""
    with closing(connect(backend.server.url("postgres"))) as probe:
        probe.pgconn.send_query(b"SELECT pg_logical_emit_message(true, 'probe', '')")
        time.sleep(0.2)
        return bool(
            backend.server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'postgres' AND wait_event = 'SyncRep'"
            )
        )


def end_backend_that_waits(backend: PostgresqlBackend, database: str, event: str) -> None:
    """Wait until a session of the database waits for `event`, and end the session."""

    def is_ended() -> bool:
        found = backend.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{database}' AND wait_event = '{event}'"
        )
        return bool(found)

    eventually(is_ended, "a commit is cut off")


def test_connection_lost_after_the_commit_is_settled_by_the_cid(
    backend: PostgresqlBackend, store: OpenStore, other: OpenStore, alice: User
) -> None:
    operation = message(alice, "hello", cid="c" * 32)
    with held_in_commit(backend):
        answer = store.submit([operation])
        end_backend_that_waits(backend, database_of(store), "SyncRep")
        (outcome,) = answer()
        assert isinstance(outcome, StoreUnavailable)
    repeated = other.do(operation)
    assert repeated.duplicate
    assert [item.text for item in store.log(alice)[1:]] == ["hello"]
    assert store.problems() == []


def test_connection_lost_in_the_commit_stores_nothing(
    backend: PostgresqlBackend, store: OpenStore, other: OpenStore, alice: User
) -> None:
    database = database_of(store)
    for statement in (
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER waiting AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (new.text = 'slow') EXECUTE FUNCTION wait()",
    ):
        backend.server.execute(statement, database)
    operation = message(alice, "slow", cid="c" * 32)
    answer = store.submit([operation])
    end_backend_that_waits(backend, database, "PgSleep")
    (outcome,) = answer()
    assert isinstance(outcome, StoreUnavailable)
    backend.server.execute("DROP TRIGGER waiting ON events", database)
    assert not other.do(operation).duplicate
    assert store.send(alice, "goes on") == 3
    assert store.problems() == []


def test_crash_of_the_database_loses_no_answer(
    backend: PostgresqlBackend, open_store: Callable[..., OpenStore]
) -> None:
    store = open_store(probe_every=0.1)
    alice = store.sign_in("alice")
    sent = {store.send(alice, f"{number}") for number in range(10)}
    backend.server.crash()
    assert isinstance(store.outcome(message(alice, "lost", cid="d" * 32)), StoreUnavailable)
    backend.server.start()

    def is_back() -> bool:
        outcome = store.outcome(message(alice, "lost", cid="d" * 32))
        return isinstance(outcome, Appended)

    eventually(is_back, "the store accepts messages again")
    eventually(lambda: store.store.read(lambda _: True).exception(PATIENCE) is None, "reads work")
    log = store.log(alice)
    assert sent <= {item.seq for item in log}
    assert [item.text for item in log].count("lost") == 1
