"""Upkeep between commits: last sign-ins, addresses older than 90 days, ended bans and mutes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from sqlalchemy import Connection

from chat.store.accounts import AddBan, AddDevice, SignIn
from chat.store.channels import BanFromChannel, MuteMember
from chat.store.sqlite import engine as sqlite
from chat.store.write.upkeep import ADDRESS_MS, Upkeep
from tests.serving import eventually
from tests.store.opened import OpenStore

TOKEN = b"t" * 32
NETWORK = ip_network("192.0.2.0/24")


@pytest.fixture
def connection(store: OpenStore) -> Iterator[Connection]:
    """Return another connection that can write."""
    engine = sqlite.writer_engine(store.file)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def run(connection: Connection, now: int) -> None:
    """Run the upkeep that is due at `now`, until nothing is left."""
    upkeep = Upkeep(lambda: connection, lambda: now, first=0)
    first = upkeep.at

    def is_done() -> bool:
        upkeep.step()
        return upkeep.at > first + 60

    eventually(is_done, "the upkeep is done")


def test_old_addresses_are_removed_from_the_audit_log(
    store: OpenStore, connection: Connection
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
    run(connection, 1_000_000 + ADDRESS_MS)
    assert found() == before
    run(connection, 1_900_000 + ADDRESS_MS)
    laptop = {"how": "open", "role": "member", "label": "laptop"}
    assert found() == [bob, ("banned", None, {"reason": "spam"}), ("created", None, laptop)]
    assert not store.problems()


def test_ended_bans_are_removed(store: OpenStore, connection: Connection) -> None:
    store.sign_in("alice")
    store.set_clock(1_000)
    store.do(AddBan(None, None, NETWORK, 2_000_000, ""))
    store.do(AddBan(None, "alice", None, None, ""))
    run(connection, 2_000_000)
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
    store: OpenStore, connection: Connection
) -> None:
    store.set_clock(1_000)
    alice, bob, carol = (store.sign_in(name) for name in ("alice", "bob", "carol"))
    for user in (alice, bob, carol):
        store.join(user, "#dev")
    for until in (2_000_000, 9_000_000):
        name = "bob" if until == 2_000_000 else "carol"
        store.do(MuteMember(alice, "#dev", name, until))
        store.do(BanFromChannel(alice, "#dev", name, until))
    run(connection, 2_000_000)
    for table in ("mutes", "channel_bans"):
        rows = connection.exec_driver_sql(f"SELECT user_id FROM {table}").all()
        assert [tuple(row) for row in rows] == [(carol.id,)]
    connection.rollback()
