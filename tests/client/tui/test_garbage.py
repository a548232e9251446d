"""When Python looks for cycles; in a process of its own, where nothing else depends on it."""

from __future__ import annotations

import subprocess
import sys

HELD = """
import gc
from chat.client.tui import garbage

class Ring:
    def __init__(self):
        self.ring = self

def rings():
    return sum(isinstance(each, Ring) for each in gc.get_objects())

garbage.tidy(100)
assert gc.get_threshold()[2] < 1_000, "who does not hold changes nothing"
garbage.hold()
stays = [Ring() for _ in range(10)]
garbage.settle()
assert gc.get_freeze_count() > 10 and gc.isenabled()
for _ in range(300):
    Ring()
before = rings()
garbage.tidy(1)
assert rings() == before, "somebody types"
garbage.tidy(100)
assert rings() == 0, "the rest is gone through, what the start made is set aside"
"""


def test_a_full_round_waits_until_nobody_types() -> None:
    subprocess.run([sys.executable, "-c", HELD], check=True)
