"""Fixtures of the store's tests: a fresh store on a real file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.protocol.values import Limits
from chat.store.operations import User
from chat.store.sqlite.housekeeping import INDEX_AFTER
from tests.store.opened import OpenStore


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new database's file: to copy it is faster than to create one per test."""
    with OpenStore(tmp_path_factory.mktemp("template")) as store:
        return store.file


@pytest.fixture
def open_store(template: Path, tmp_path: Path) -> Iterator[Callable[..., OpenStore]]:
    """Open stores: `open_store(limits)`; the same file each time; they close with the test."""
    opened: list[OpenStore] = []
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(template, folder / template.name)

    def start(limits: Limits | None = None, *, index_after: float = INDEX_AFTER) -> OpenStore:
        store = OpenStore(folder, limits, index_after=index_after)
        opened.append(store)
        return store

    yield start
    for store in opened:
        store.__exit__()


@pytest.fixture
def store(open_store: Callable[..., OpenStore]) -> OpenStore:
    """Return an open store with fresh data."""
    return open_store()


@pytest.fixture
def alice(store: OpenStore) -> User:
    """Return somebody in #general."""
    return store.sign_in("alice")


@pytest.fixture
def bob(store: OpenStore, alice: User) -> User:
    """Return somebody who came after alice."""
    return store.sign_in("Bob")
