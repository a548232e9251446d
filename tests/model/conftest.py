"""A server of one's own for each example, in the test's own process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.server.channels import presence, typing
from tests.model.world import World


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], World]:
    """Return what prepares a server with fresh data, again and again."""
    monkeypatch.setattr(presence, "PULSE", 0.002)
    monkeypatch.setattr(typing, "EXPIRY", 3_600.0)  # nobody stops typing because of a slow machine
    numbers = itertools.count()
    template = tmp_path / "template"
    template.mkdir()

    async def prepare() -> None:
        world = World(template)
        await world.start()
        await world.stop()

    asyncio.run(prepare())

    def new() -> World:
        folder = tmp_path / f"{next(numbers)}"
        folder.mkdir()
        return World(folder, template / "chat.db")

    return new
