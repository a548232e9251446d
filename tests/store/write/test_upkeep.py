"""Upkeep between commits: last sign-ins, addresses older than 90 days, ended bans and mutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest
from sqlalchemy import Connection

from chat.store.accounts import AddBan, AddDevice, SignIn
from chat.store.backend import Database, backend_of
from chat.store.channels import BanFromChannel, MuteMember
from chat.store.write.upkeep import ADDRESS_MS, Upkeep
from tests.serving import eventually
from tests.store.opened import OpenStore

TOKEN = b"t" * 32
NETWORK = ip_network("192.0.2.0/24")


@pytest.fixture
def database(store: OpenStore) -> Iterator[Database]:
    """Return the same database, opened beside the store."""
    database = backend_of(store.url).open_shared(store.url)
    yield database
    database.close(is_healthy=True)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """Return another connection that can write."""
    with database.writer.connect() as connection:
        yield connection


@pytest.fixture
def run(database: Database, connection: Connection) -> Callable[[int], None]:
    """Return a function that runs the upkeep due at a time, until nothing is left."""

    def run_all(now: int) -> None:
        upkeep = Upkeep(database, lambda: connection, lambda: now, first=0)
        first = upkeep.at

        def is_done() -> bool:
            upkeep.step()
            return upkeep.at > first + 60

        eventually(is_done, "the upkeep is done")

    return run_all


def test_old_addresses_are_removed_from_the_audit_log(
    store: OpenStore, run: Callable[[int], None]
) -> None:
    store.set_clock(1_000)
    store.do(SignIn("alice", TOKEN, TOKEN, label="laptop", address="192.0.2.7"))
    store.do(AddBan(None, None, NETWORK, None, "spam"))
    store.set_clock(2_000)
    store.do(SignIn("bob", TOKEN, TOKEN, address="198.51.100.7"))

    def found() -> list[tuple[str, str | None, dict[str, str]]]:
        page = store.read(lambda reader: reader.accounts.audit(None, before=None, limit=9))
        return [(each.act, each.address, dict(each.details)) for each in page.entries]

    bob = ("created", "198.51.100.7", {"how": "open", "role": "member"})
    before = found()
    run(1_000_000 + ADDRESS_MS)
    assert found() == before
    run(1_900_000 + ADDRESS_MS)
    laptop = {"how": "open", "role": "member", "label": "laptop"}
    assert found() == [bob, ("banned", None, {"reason": "spam"}), ("created", None, laptop)]
    assert not store.problems()


def test_ended_bans_are_removed(
    store: OpenStore, connection: Connection, run: Callable[[int], None]
) -> None:
    store.sign_in("alice")
    store.set_clock(1_000)
    store.do(AddBan(None, None, NETWORK, 2_000_000, ""))
    store.do(AddBan(None, "alice", None, None, ""))
    run(2_000_000)
    (left,) = connection.exec_driver_sql("SELECT user_id FROM bans").fetchall()
    assert left == (1,)


def test_sign_in_time_is_stored_soon(store: OpenStore) -> None:
    alice = store.do(SignIn("alice", TOKEN, TOKEN)).user
    store.do(AddDevice(None, "alice", b"other", ""))
    store.set_clock(5_000)
    store.do(SignIn("alice", b"other", b"other"))
    eventually(
        lambda: store.read(lambda reader: reader.accounts.devices(alice))[0].seen == 5_000_000,
        "the time is stored",
    )


def test_ended_bans_and_mutes_of_channels_are_removed(
    store: OpenStore, connection: Connection, run: Callable[[int], None]
) -> None:
    store.set_clock(1_000)
    alice, bob, carol = (store.sign_in(name) for name in ("alice", "bob", "carol"))
    for user in (alice, bob, carol):
        store.join(user, "#dev")
    for until in (2_000_000, 9_000_000):
        name = "bob" if until == 2_000_000 else "carol"
        store.do(MuteMember(alice, "#dev", name, until))
        store.do(BanFromChannel(alice, "#dev", name, until))
    run(2_000_000)
    for table in ("mutes", "channel_bans"):
        rows = connection.exec_driver_sql(f"SELECT user_id FROM {table}").all()
        assert [tuple(row) for row in rows] == [(carol.id,)]
    connection.rollback()
