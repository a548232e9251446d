"""Fixtures of the store's tests: stores with fresh data, on each backend.

The tests in this folder and in `read`, `search` and `write` verify the contract of `Store` and run
once for each backend. Tests specific to SQLite are in `sqlite`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from chat.protocol.values import Limits
from chat.store.operations import User
from tests.postgresql import PostgresqlServer
from tests.store.opened import OpenStore, sqlite_url


class Backend(Protocol):
    """Creates databases of one kind."""

    def fresh(self, folder: Path) -> str:
        """Return the URL of a new database in the empty `folder`."""

    def remove(self, url: str) -> None:
        """Remove a database that is no longer used."""

    def close(self) -> None:
        """End what was started."""


class SqliteBackend:
    """Creates SQLite files by copying a new one, which is faster than creating each."""

    def __init__(self, template: Path) -> None:
        self._template = template
        with OpenStore(sqlite_url(template)):
            pass

    def fresh(self, folder: Path) -> str:
        """See `Backend`."""
        shutil.copytree(self._template, folder, dirs_exist_ok=True)
        return sqlite_url(folder)

    def remove(self, url: str) -> None:
        """Keep the file: pytest removes old folders."""

    def close(self) -> None:
        """Do nothing."""


class PostgresqlBackend:
    """Creates databases on a server of its own by copying a new one."""

    def __init__(self, _folder: Path | None = None) -> None:
        self.server = PostgresqlServer()
        self._template = self.server.create()
        with OpenStore(self.server.url(self._template)):
            pass

    def empty(self) -> str:
        """Return the URL of a database without tables."""
        return self.server.url(self.server.create())

    def fresh(self, _folder: Path) -> str:
        """See `Backend`."""
        return self.server.url(self.server.create(self._template))

    def remove(self, url: str) -> None:
        """See `Backend`."""
        self.server.drop(url.partition("@/")[2].partition("?")[0])

    def close(self) -> None:
        """See `Backend`."""
        self.server.close()


BACKENDS: dict[str, Callable[[Path], Backend]] = {
    "sqlite": SqliteBackend,
    "postgresql": PostgresqlBackend,
}


@pytest.fixture(
    scope="session",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """Each kind of database that a store can open."""
    opened = BACKENDS[request.param](tmp_path_factory.mktemp("template"))
    yield opened
    opened.close()


@pytest.fixture
def open_store(backend: Backend, tmp_path: Path) -> Iterator[Callable[..., OpenStore]]:
    """Return a function that opens stores on the same data; they close with the test."""
    opened: list[OpenStore] = []
    url = backend.fresh(tmp_path / "data")

    def start(limits: Limits | None = None, **tunables: Any) -> OpenStore:
        store = OpenStore(url, limits, **tunables)
        opened.append(store)
        return store

    yield start
    for store in opened:
        store.__exit__()
    backend.remove(url)


@pytest.fixture
def store(open_store: Callable[..., OpenStore]) -> OpenStore:
    """Return an open store with fresh data."""
    return open_store()


@pytest.fixture
def alice(store: OpenStore) -> User:
    """Return a member of #general."""
    return store.sign_in("alice")


@pytest.fixture
def bob(store: OpenStore, alice: User) -> User:
    """Return a member of #general who joined after alice."""
    return store.sign_in("Bob")
