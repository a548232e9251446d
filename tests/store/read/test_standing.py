"""Standing of sessions: the cost of its checks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address

import pytest
from sqlalchemy import Engine

from chat.errors import CommandError, ErrorCode
from chat.store.read.standing import Standings
from chat.store.sqlite.engine import readers_engine
from tests.costs import growth
from tests.store.opened import OpenStore


def banned(store: OpenStore, networks: int) -> Engine:
    """Return readers of a database with bans of so many addresses, from 10.0.0.0 on."""
    first = int(IPv4Address("10.0.0.0"))
    rows = [(f"{IPv4Address(first + number)}/32",) for number in range(networks)]
    with closing(sqlite3.connect(store.file)) as connection, connection:
        connection.executemany(
            "INSERT INTO bans (network, created, reason) VALUES (?, 0, '')", rows
        )
    return readers_engine(store.file, 1)


def check(engine: Engine, address: str) -> None:
    with engine.begin() as connection:
        Standings(lambda: 0).check_address(connection, address)


def test_cost_of_a_check_does_not_grow_with_the_bans(
    open_store: Callable[..., OpenStore], tmp_path_factory: pytest.TempPathFactory
) -> None:
    few = banned(open_store(), 10)
    with OpenStore(f"sqlite:///{tmp_path_factory.mktemp('many') / 'chat.db'}") as store:
        many = banned(store, 5_000)
        try:
            assert growth(lambda each: check(each, "192.0.2.7"), few, many, enough=5) < 5
            with pytest.raises(CommandError) as refused:
                check(many, "::ffff:10.0.0.77")
            assert refused.value.code is ErrorCode.BANNED
        finally:
            few.dispose()
            many.dispose()
