"""Fixtures for tests of the server: one server per module, and unique names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.serving import ChatServer

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """Return a running server for all tests of a module: use fresh names and channels."""
    flags = ("--limits.rate", "100000", "--limits.burst", "100000")
    with ChatServer(tmp_path_factory.mktemp("shared") / "data", *flags) as server:
        yield server


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """Return a function that makes a name unique: `fresh("#room")` is `#room-7`."""
    return lambda stem: f"{stem}-{next(_numbers)}"
