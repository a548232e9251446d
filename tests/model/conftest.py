"""A server for each example, in the test's own process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.model.world import World


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[[], World]:
    """Return a function that prepares a server with fresh data."""
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
