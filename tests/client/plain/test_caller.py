"""Where there are only lines, the bell calls; or the person's own program."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from pathlib import Path

import pytest

from chat.client.model.notifications import Notification, Way
from chat.client.plain.app import LineNotifier
from chat.client.plain.terminal import Lines


class Heard(Lines):
    """Lines that count the bell."""

    def __init__(self) -> None:
        super().__init__(lambda text: None, lambda: None)
        self.rung = 0
        self.said: list[str] = []

    def say(self, lines: Iterable[str]) -> None:
        self.said += lines

    def ring(self) -> None:
        self.rung += 1


@pytest.mark.parametrize(
    ("way", "rung", "run"),
    [("bell", 1, 0), ("osc9", 1, 0), ("osc777", 1, 0), ("command", 0, 1), ("none", 0, 0)],
)
def test_each_way_calls_as_it_can(way: Way, rung: int, run: int) -> None:
    lines = Heard()
    beside: list[Coroutine[None, None, None]] = []
    LineNotifier(lines, beside.append, way, ("true",)).ring(Notification("bob", "hi"))
    assert (lines.rung, len(beside)) == (rung, run)
    for work in beside:
        work.close()


async def test_a_program_that_does_not_exist_is_told_once(tmp_path: Path) -> None:
    lines = Heard()
    beside: list[Coroutine[None, None, None]] = []
    caller = LineNotifier(lines, beside.append, "command", (str(tmp_path / "none"),))
    for _ in range(3):
        caller.ring(Notification("bob", "hi"))
        await beside.pop()
    (told,) = lines.said
    assert "cannot run notify_command" in told
    assert str(tmp_path / "none") in told
