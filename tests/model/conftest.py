"""Servers for each example, in the test's own process: one, or three on one database."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broker.nats_server import NatsServer
from tests.model.world import World, server_settings
from tests.postgresql import PostgresqlServer

NewWorld = Callable[[], World]
SERVERS = 3


@pytest.fixture
def new_world(tmp_path: Path) -> NewWorld:
    """Return a function that prepares a server with fresh data."""
    numbers = itertools.count()
    template = tmp_path / "template"
    template.mkdir()
    asyncio.run(_prepare(World(server_settings(template))))

    def new() -> World:
        folder = tmp_path / f"{next(numbers)}"
        folder.mkdir()
        shutil.copy(template / "chat.db", folder)
        return World(server_settings(folder))

    return new


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


@pytest.fixture
def new_cluster(tmp_path: Path, postgresql: PostgresqlServer) -> Iterator[NewWorld]:
    """Return a function that prepares three servers with fresh data; the last ones must be over."""
    template = postgresql.create()
    asyncio.run(_prepare(World(server_settings(tmp_path, store=postgresql.url(template)))))
    # A copy must not look like a restored backup, after which commits pause.
    postgresql.execute("DELETE FROM meta WHERE key = 'timeline'", template)
    databases: list[str] = []
    with NatsServer() as nats:

        def new() -> World:
            if databases:
                postgresql.drop(databases.pop())
            databases.append(postgresql.create(template))
            url = postgresql.url(databases[-1])
            settings = server_settings(tmp_path, store=url, broker=nats.url)
            return World(*[settings] * SERVERS)

        yield new
    for name in (*databases, template):
        postgresql.drop(name)


@pytest.fixture(
    params=[
        pytest.param("new_world", id="one server"),
        pytest.param("new_cluster", id="three servers", marks=pytest.mark.cluster),
    ]
)
def new_deployment(request: pytest.FixtureRequest) -> NewWorld:
    """Return a function that prepares one server, or three, each client on another one."""
    found: NewWorld = request.getfixturevalue(request.param)
    return found


async def _prepare(world: World) -> None:
    await world.start()
    await world.stop()
