"""Fixtures for all tests: the real server, one or several per test."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.serving import ChatServer

# A busy machine is slow now and then; `timeout` in pyproject.toml finds what really hangs.
settings.register_profile("chat", deadline=None, print_blob=True)
settings.load_profile("chat")

# With Python's own threshold of 700, the collector takes a quarter of the time of the screens'
# tests and a third of the time in which tests are found.
gc.set_threshold(50_000)


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run two tests per core: most wait for disks and processes."""
    return 2 * (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start tests with a time limit of their own first: a long one at the end would run alone."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_collection_finish() -> None:
    """Exclude all imported modules from garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ChatServer]]:
    """Start servers: `start_server(*flags, data=…, env=…)`; they end with the test."""
    servers: list[ChatServer] = []

    def start(
        *flags: str, data: Path | None = None, env: dict[str, str] | None = None
    ) -> ChatServer:
        server = ChatServer(data or tmp_path / f"data{len(servers)}", *flags, env=env)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()
    for server in servers:
        server.assert_gone()


@pytest.fixture
def server(start_server: Callable[..., ChatServer]) -> ChatServer:
    """Return a running server with fresh data."""
    return start_server()
