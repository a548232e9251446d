"""The store's door: further tokens, reads that fail, closing."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat.errors import CommandError, ErrorCode, StartupError, StoreUnavailable
from chat.store.ops import Pending, SignedIn, SignIn, User
from chat.store.reading import Reader
from chat.store.store import issue_token
from tests.store.opened import OpenStore, message


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

    def test_a_failing_database_is_unavailable(self, store: OpenStore) -> None:
        def query(reader: Reader) -> None:
            reader._connection.exec_driver_sql("SELECT * FROM nothing")

        with pytest.raises(StoreUnavailable, match="nothing"):
            store.read(query)

    def test_readers_cannot_write(self, store: OpenStore) -> None:
        def query(reader: Reader) -> None:
            reader._connection.exec_driver_sql("DELETE FROM users")

        with pytest.raises(StoreUnavailable, match="readonly"):
            store.read(query)


class TestClosing:
    def test_what_was_submitted_is_committed(self, store: OpenStore, alice: User) -> None:
        for _ in range(2_500):
            store.store.submit(Pending(message(alice), None))
        store.store.close()
        store.outcomes(2_500)
        with OpenStore(store.folder) as again:
            assert [item.seq for item in again.log(alice)] == list(range(1, 2_502))

    def test_afterwards_nothing_is_taken(self, store: OpenStore, alice: User) -> None:
        store.store.close()
        store.store.close()
        with pytest.raises(StoreUnavailable):
            store.store.submit(Pending(message(alice), None))
        with pytest.raises(StoreUnavailable):
            store.log(alice)
