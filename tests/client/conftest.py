"""Fixtures: a fake server, and clients' cores that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.network.backoff import Backoff
from chat.client.storage.account import Account
from chat.client.sync.publisher import WAITING_MAX
from tests.client.fake_server import FakeServer
from tests.client.piped import Client
from tests.client.screen import Screen


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Isolate the tests from the variables and files of the user who runs them."""
    import os

    for name in [name for name in os.environ if name.startswith("CHAT_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture
def start_fake() -> Iterator[Callable[..., FakeServer]]:
    """Start fake servers."""
    servers: list[FakeServer] = []

    def start(**options: object) -> FakeServer:
        server = FakeServer(**options)  # type: ignore[arg-type]  # passed on as they are
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def fake(start_fake: Callable[..., FakeServer]) -> FakeServer:
    """Return a running fake server."""
    return start_fake()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Open a new account of `me` without a connection."""
    account = Account(
        tmp_path / "a",
        "me",
        changed=lambda: None,
        report=lambda _: None,
    )
    yield account
    account.close()


@pytest.fixture
def open_client(
    tmp_path: Path, start_fake: Callable[..., FakeServer]
) -> Iterator[Callable[..., Screen]]:
    """Start cores: `open_client(url, name=…, data=…)`; back-off is a few milliseconds.

    They end before the fake servers do.
    """
    screens: list[Screen] = []

    def start(
        url: str,
        name: str = "alice",
        data: Path | None = None,
        updates_max: int = WAITING_MAX,
        **more: Any,
    ) -> Screen:
        settings = ClientSettings(
            name=name, url=url, data=data or tmp_path / f"data-{name}", **more
        )
        screen = Screen(settings, Backoff(0.02, 0.05), updates_max=updates_max)
        screens.append(screen)
        screen.core.start()
        return screen

    yield start
    for screen in screens:
        screen.stop()


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Create clients with `make_client(url, name)`; their processes end with the test."""
    clients: list[Client] = []

    def make(url: str, name: str = "bot") -> Client:
        clients.append(Client(tmp_path, url, name))
        return clients[-1]

    yield make
    for client in clients:
        for process in client.running:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
