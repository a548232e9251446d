"""Opening a database on PostgreSQL: what is refused, what is created, and copies of SQLite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chat.errors import StartupError
from chat.protocol.values import Limits
from chat.store.channels import BanFromChannel
from chat.store.maintenance.backup import back_up
from chat.store.maintenance.check import reindex
from chat.store.maintenance.migrate import migrate_store, new_epochs
from chat.store.operations import JoinChannel, User
from chat.store.schema import REVISION
from chat.store.search.query import parse_query
from chat.store.search.search import Wanted
from chat.store.store import Store
from tests.postgresql import PostgresqlServer
from tests.store.conftest import PostgresqlBackend
from tests.store.opened import OpenStore, delete, edit, react, sqlite_url

pytestmark = pytest.mark.postgresql


def refusal(url: str) -> str:
    """Return why a store cannot be opened."""
    with pytest.raises(StartupError) as refused:
        Store.open(url, limits=Limits(), committed=lambda _: None)
    return str(refused.value)


def test_password_in_the_address_is_refused_and_not_repeated() -> None:
    for url in ("postgresql://chat:s3cret@host/chat", "postgresql://host/chat?password=s3cret"):
        said = refusal(url)
        assert "PGPASSFILE" in said
        assert "s3cret" not in said


def test_wrong_addresses_are_refused() -> None:
    assert "names no database" in refusal("postgresql://host")
    assert "URL is wrong" in refusal("postgresql://host/chat?unknown=1")
    assert "cannot be opened" in refusal("postgresql://127.0.0.1:1/chat")


def test_missing_database_is_refused(backend: PostgresqlBackend) -> None:
    assert '"absent" does not exist' in refusal(backend.server.url("absent"))


def test_database_of_a_newer_version_is_refused(backend: PostgresqlBackend, tmp_path: Path) -> None:
    url = backend.fresh(tmp_path)
    name = url.partition("@/")[2].partition("?")[0]
    backend.server.execute("UPDATE alembic_version SET version_num = '9999'", name)
    assert "newer version" in refusal(url)


def test_server_that_does_not_sync_is_refused(tmp_path: Path) -> None:
    with PostgresqlServer("fsync=off") as server:
        assert "fsync=on" in refusal(server.url(server.create()))


def test_new_database_has_the_current_schema(backend: PostgresqlBackend) -> None:
    url = backend.empty()
    with OpenStore(url) as store:
        assert store.sign_in("alice").id == 1
        assert store.problems() == []
    name = url.partition("@/")[2].partition("?")[0]
    assert backend.server.execute("SELECT version_num FROM alembic_version", name) == [(REVISION,)]


def test_index_is_rebuilt_while_a_server_runs(store: OpenStore, alice: User) -> None:
    store.send(alice, "one word")
    seq = store.send(alice, "another word")
    store.append(edit(alice, seq, "a new text"))
    reindex(store.url)
    assert store.problems() == []


def test_deleted_text_is_in_no_row(
    backend: PostgresqlBackend, store: OpenStore, alice: User
) -> None:
    first, second = store.send(alice, "secretone"), store.send(alice, "secrettwo")
    store.append(edit(alice, first, "harmless"))
    store.append(delete(alice, second))
    name = store.url.partition("@/")[2].partition("?")[0]
    tables = backend.server.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name
    )
    for (table,) in tables:
        rows = backend.server.execute(f"SELECT * FROM {table}", name)
        assert "secret" not in repr(rows), table


def test_backups_are_those_of_postgresql(store: OpenStore, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="pg_dump"):
        back_up(store.url, tmp_path / "backup.db")


def test_new_epochs_make_clients_load_everything_again(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store()
    alice = store.sign_in("alice")
    before = store.membership(alice).channel.epoch
    assert new_epochs(store.url) == 1
    assert store.membership(alice).channel.epoch != before
    store.send(alice, "the writer knows the new epoch")
    assert store.do(JoinChannel(alice, "#general")).epoch == store.membership(alice).channel.epoch


@pytest.mark.feature("server.postgresql")
def test_copy_of_a_sqlite_database_continues_where_it_was(
    backend: PostgresqlBackend, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    source = sqlite_url(tmp_path / "data")
    with OpenStore(source) as store:
        alice, bob = store.admin("alice"), store.sign_in("Bob")
        store.join(alice, "#dev")
        store.join(bob, "#dev")
        seq = store.send(alice, "tea or coffee?", "#dev", cid="1" * 32)
        store.append(edit(alice, seq, "tea, or milk?", "#dev"))
        store.append(react(bob, seq, "👍", "#dev"))
        store.do(BanFromChannel(alice, "#dev", "Bob", None, "spam"))
        with pytest.raises(StartupError, match="in use"):
            migrate_store(source, backend.empty())
        log, general = store.log(alice, "#dev"), store.log(alice)
        epoch = store.membership(alice).channel.epoch
    target = backend.empty()
    holdings = migrate_store(source, target)
    assert holdings.channels == 2
    with OpenStore(target) as store:
        assert store.log(alice, "#dev") == log
        assert store.log(alice) == general
        assert store.membership(alice).channel.epoch == epoch
        assert store.send(alice, "tea or coffee?", "#dev", cid="1" * 32) == seq
        carol = store.sign_in("carol")
        store.do(BanFromChannel(alice, "#dev", "carol", None, ""))
        found = store.read(lambda reader: reader.search(alice, None, Wanted(parse_query("milk"))))
        assert [hit.seq for hit in found.hits] == [seq]
        assert carol.id > bob.id
        assert store.problems() == []
    with pytest.raises(StartupError, match="not empty"):
        migrate_store(source, target)
