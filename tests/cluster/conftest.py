"""Fixtures: one PostgreSQL for all tests, a new database and a new broker for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.protocol.values import Limits
from chat.store.store import Store
from tests.cluster.three_servers import Cluster
from tests.postgresql import PostgresqlServer


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgresql: PostgresqlServer) -> str:
    """A database with the tables of a new server."""
    name = postgresql.create()
    Store.open(postgresql.url(name), limits=Limits(), committed=lambda _: None).close()
    return name


@pytest.fixture
def cluster(tmp_path: Path, postgresql: PostgresqlServer, template: str) -> Iterator[Cluster]:
    with Cluster(tmp_path, postgresql, template) as running:
        yield running
