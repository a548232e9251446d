"""Fixtures of the tests of SQLite: the stores are SQLite files."""

from __future__ import annotations

import pytest

from tests.store.conftest import Backend, SqliteBackend


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """SQLite only."""
    return SqliteBackend(tmp_path_factory.mktemp("template"))
