"""The store: issuing tokens, failing reads, closing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.store.accounts import AddBan, AddDevice, LiftBan, SignedIn, SignIn
from chat.store.operations import User
from chat.store.read.reader import Reader
from chat.store.store import execute
from tests.serving import PATIENCE
from tests.store.opened import OpenStore, message


class TestTokens:
    def test_token_is_issued_while_the_server_runs(self, store: OpenStore, alice: User) -> None:
        execute(store.url, AddDevice(None, "ALICE", b"another", ""))
        execute(store.url, AddDevice(None, "alice", b"another", ""))
        for token_hash in (b"another", b"alice" * 8):
            outcome = store.outcome(SignIn("alice", token_hash, b"x"))
            assert outcome == SignedIn(alice, claimed=False)

    def test_token_and_new_names_do_not_disturb_each_other(
        self, store: OpenStore, alice: User
    ) -> None:
        execute(store.url, AddDevice(None, "alice", b"another", ""))
        bob = store.do(SignIn("bob", b"bob", b"bob"))
        devices = {
            store.do(SignIn(name, token, token)).user.device
            for name, token in (("alice", b"alice" * 8), ("alice", b"another"), ("bob", b"bob"))
        }
        assert len(devices) == 3
        assert bob.user.device in devices
        assert alice.device in devices

    def test_token_for_an_unknown_user_is_refused(self, store: OpenStore) -> None:
        with pytest.raises(CommandError) as refused:
            execute(store.url, AddDevice(None, "ghost", b"x", ""))
        assert refused.value.code is ErrorCode.NO_SUCH_USER


OPEN_AND_CLOSE = """
import sys
import time
from pathlib import Path
from chat.store.sqlite.engine import writer_engine
while True:
    engine = writer_engine(Path(sys.argv[1]), must_exist=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT max(id) FROM users").all()
    engine.dispose()
    print(flush=True)
    time.sleep(0.002)
"""


def test_threads_and_another_process_share_a_database(store: OpenStore) -> None:
    names = [f"user{number}" for number in range(4)]
    for name in names:
        store.sign_in(name)
    store.store.close()

    def ban_and_unban(name: str) -> None:
        for _ in range(20):
            execute(store.url, AddBan(None, name, None, None, ""))
            execute(store.url, LiftBan(None, name, None))

    # Another process that closes its last connection deletes the log of a connection without locks.
    other = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_CLOSE, str(store.file)], stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline()
        with ThreadPoolExecutor(len(names)) as threads:
            list(threads.map(ban_and_unban, names))
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()
    assert not store.problems()


class TestReading:
    def test_error_of_a_query_is_returned(self, store: OpenStore) -> None:
        def query(_reader: Reader) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.read(query)


class TestClosing:
    def test_closing_commits_submitted_operations(
        self, store: OpenStore, alice: User, open_store: Callable[..., OpenStore]
    ) -> None:
        outcomes = store.submit([message(alice)] * 2_500)
        store.store.close()
        outcomes()
        assert [item.seq for item in open_store().log(alice)] == list(range(1, 2_502))

    def test_closed_store_refuses_operations(self, store: OpenStore, alice: User) -> None:
        store.store.close()
        store.store.close()
        with pytest.raises(StoreUnavailable):
            store.submit([message(alice)])
        with pytest.raises(StoreUnavailable):
            store.log(alice)


def test_closing_cancels_queued_searches(store: OpenStore) -> None:
    began, go_on = threading.Event(), threading.Event()
    ran: list[int] = []

    def first(reader: Reader) -> None:
        began.set()
        go_on.wait(PATIENCE)

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


def test_closing_interrupts_a_running_search(store: OpenStore, alice: User) -> None:
    began = threading.Event()

    def endless(reader: Reader) -> None:
        while True:
            reader.directory(alice, cursor=None, limit=9)
            began.set()

    found = store.store.search(endless)
    assert began.wait(PATIENCE)
    store.store.close()
    with pytest.raises(StoreUnavailable, match=r"interrupted|canceling"):
        found.result(0)
