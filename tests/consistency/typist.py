"""A real client in its own process: types texts and prints each that is on its disk.

`python -m tests.consistency.typist URL DATA NAME CHANNEL FIRST` types until it is killed. Each
text that was printed, after its `cid`, must be in the log exactly once, whatever happens afterwards
(it may have been erased as old).
"""

from __future__ import annotations

import sys
import time
from itertools import count
from pathlib import Path

from chat.client.config.settings import ClientSettings
from chat.client.model.state import TimelineChanged
from chat.client.network.backoff import Backoff
from chat.client.sync.core import Core

PACE = 0.05
"""Seconds between two texts."""


def main(url: str, data: str, name: str, channel: str, first: str) -> None:
    """Type texts, and print each that is on disk."""
    settings = ClientSettings(name=name, url=url, data=Path(data))
    core = Core(settings, wake=lambda: None, backoff=Backoff(0.1, 1.0))
    core.start()
    core.open_channel(channel)
    unprinted: dict[str, str] = {}
    for number in count(int(first)):
        text = f"{name} typed {number}"
        unprinted[core.send(channel, text)] = text
        time.sleep(PACE)
        for update in core.drain():
            if isinstance(update, TimelineChanged):
                for line in update.upserts:
                    if line.cid in unprinted:  # the outbox writes before the screen shows
                        sys.stdout.write(f"{line.cid} {unprinted.pop(line.cid)}\n")
                        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
