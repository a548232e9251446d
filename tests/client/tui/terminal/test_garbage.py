"""When Python looks for cycles; in a process of its own, where nothing else depends on it."""

from __future__ import annotations

import subprocess
import sys

HELD = """
import gc
from chat.client.tui.terminal import tuning

tuning.resume_collector()
assert gc.get_freeze_count() == 0, "who does not hold changes nothing"
tuning.pause_collector()
assert not gc.isenabled()
stays = [[] for _ in range(1000)]
tuning.resume_collector()
assert gc.isenabled()
assert gc.get_freeze_count() > 1000
assert gc.collect() == 0
"""


def test_what_the_start_made_is_set_aside() -> None:
    subprocess.run([sys.executable, "-c", HELD], check=True)
