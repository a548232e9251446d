"""The store's door: further tokens, reads that fail, closing."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest

from chat.errors import CommandError, ErrorCode, StartupError, StoreFault, StoreUnavailable
from chat.store.operations import SignedIn, SignIn, User
from chat.store.read.reader import Reader
from chat.store.sqlite.housekeeping import PURGE_AFTER
from chat.store.store import issue_token
from tests.serving import eventually
from tests.store.opened import PATIENCE, OpenStore, delete, message


class TestTokens:
    def test_one_is_issued_while_the_server_runs(self, store: OpenStore, alice: User) -> None:
        issue_token(store.url, "ALICE", b"another")
        issue_token(store.url, "alice", b"another")
        for token_hash in (b"another", b"alice" * 8):
            outcome = store.outcome(SignIn("alice", token_hash, b"x"))
            assert outcome == SignedIn(alice, claimed=False)

    def test_for_nobody_it_is_refused(self, store: OpenStore) -> None:
        with pytest.raises(CommandError) as refused:
            issue_token(store.url, "ghost", b"x")
        assert refused.value.code is ErrorCode.NO_SUCH_USER

    def test_where_there_is_no_database_none_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(StartupError):
            issue_token(f"sqlite:///{tmp_path}/chat.db", "alice", b"x")
        assert not list(tmp_path.iterdir())


class TestReading:
    def test_a_querys_own_error_comes_back(self, store: OpenStore) -> None:
        def query(_reader: Reader) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.read(query)

    def test_a_mistake_in_our_sql_is_a_fault_of_ours(self, store: OpenStore) -> None:
        def query(reader: Reader) -> None:
            reader._connection.exec_driver_sql("SELECT * FROM nothing")

        with pytest.raises(StoreFault, match="nothing"):
            store.read(query)
        assert store.store.healthy() is None

    def test_readers_cannot_write(self, store: OpenStore) -> None:
        def query(reader: Reader) -> None:
            reader._connection.exec_driver_sql("DELETE FROM users")

        with pytest.raises(StoreUnavailable, match="readonly"):
            store.read(query)


class TestClosing:
    def test_what_was_submitted_is_committed(self, store: OpenStore, alice: User) -> None:
        outcomes = store.submit([message(alice)] * 2_500)
        store.store.close()
        outcomes()
        with OpenStore(store.folder) as again:
            assert [item.seq for item in again.log(alice)] == list(range(1, 2_502))

    def test_afterwards_nothing_is_taken(self, store: OpenStore, alice: User) -> None:
        store.store.close()
        store.store.close()
        with pytest.raises(StoreUnavailable):
            store.submit([message(alice)])
        with pytest.raises(StoreUnavailable):
            store.log(alice)


def test_closing_runs_no_search_that_waits(tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()
    ran: list[int] = []

    def first(reader: Reader) -> None:
        began.set()
        go_on.wait(PATIENCE)

    with OpenStore(tmp_path) as store:
        running = store.store.search(first)
        waiting = [store.store.search(lambda _, n=n: ran.append(n)) for n in range(5)]  # type: ignore[misc]
        assert began.wait(PATIENCE)
        closing = threading.Thread(target=store.store.close)
        closing.start()
        for each in waiting:
            with pytest.raises(CancelledError):
                each.result(PATIENCE)
        go_on.set()
        closing.join(PATIENCE)
        assert not closing.is_alive()
        assert running.exception() is None
        assert not ran


def test_closing_ends_a_search_that_goes_on(tmp_path: Path) -> None:
    began = threading.Event()

    def endless(reader: Reader) -> None:
        while True:
            reader.directory(cursor=None, limit=9)
            began.set()

    with OpenStore(tmp_path) as store:
        found = store.store.search(endless)
        assert began.wait(PATIENCE)
        store.store.close()
        with pytest.raises(StoreUnavailable, match="interrupted"):
            found.result(0)


def test_a_deletion_does_not_stall_sends_while_a_long_reading_goes_on(tmp_path: Path) -> None:
    def seconds_of_sends(store: OpenStore, alice: User) -> float:
        """Send for a while; return how long the sends took in sum."""
        taken = 0.0
        for _ in range(50):
            began = time.monotonic()
            store.send(alice, "meanwhile")
            taken += time.monotonic() - began
            time.sleep(0.02)
        return taken

    with OpenStore(tmp_path) as store:
        alice = store.sign_in("alice")
        usual = seconds_of_sends(store, alice)
        with closing(sqlite3.connect(store.file, isolation_level=None)) as backup:
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM events").fetchall()
            store.append(delete(alice, store.send(alice, "secret")))
            time.sleep(PURGE_AFTER)
            during = seconds_of_sends(store, alice)
            assert during < 3 * usual + 2.0, "the store waits for the reading, again and again"
            log = store.file.with_name("chat.db-wal")
            assert b"secret" in log.read_bytes()
        eventually(lambda: b"secret" not in log.read_bytes(), "the log is truncated then")
