"""Fixtures of the tests of PostgreSQL: the stores are databases of one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.conftest import PostgresqlBackend


@pytest.fixture(scope="session")
def backend() -> Iterator[PostgresqlBackend]:
    """PostgreSQL only."""
    backend = PostgresqlBackend()
    yield backend
    backend.close()
