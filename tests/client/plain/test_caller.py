"""Where there are only lines, the bell calls; or the person's own program."""

from __future__ import annotations

from collections.abc import Coroutine

import pytest

from chat.client.calls import Call, Way
from chat.client.plain.caller import LineCaller
from chat.client.plain.lines import Lines


class Heard(Lines):
    """Lines that count the bell."""

    def __init__(self) -> None:
        super().__init__(lambda text: None, lambda: None)
        self.rung = 0

    def ring(self) -> None:
        self.rung += 1


@pytest.mark.parametrize(
    ("way", "rung", "run"),
    [("bell", 1, 0), ("osc9", 1, 0), ("osc777", 1, 0), ("command", 0, 1), ("none", 0, 0)],
)
def test_each_way_calls_as_it_can(way: Way, rung: int, run: int) -> None:
    lines = Heard()
    beside: list[Coroutine[None, None, None]] = []
    LineCaller(lines, beside.append, way, ("true",)).ring(Call("bob", "hi"))
    assert (lines.rung, len(beside)) == (rung, run)
    for work in beside:
        work.close()
