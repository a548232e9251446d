"""Output of `tail` and `export`: a line for people, or a JSON object per entry."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable

from chat.client.model.describe import describe_entry
from chat.client.platform.local_time import local_time
from chat.protocol.items import Event, Item

__all__ = ["Render", "as_json", "as_text", "full_moment", "write"]

Render = Callable[[str, Item | Event], str]
"""Formats an entry of a channel as one record without its line break."""


def as_text(channel: str, entry: Item | Event) -> str:
    """Return `[41 2026-11-24 09:30] alice: text`; further lines of the text are indented."""
    return f"[{entry.seq} {full_moment(entry.ts)}] {describe_entry(channel, entry, full_moment)}"


def full_moment(ts: int) -> str:
    """Return a moment as `2026-11-24 09:30`."""
    return f"{local_time(ts):%Y-%m-%d %H:%M}"


def as_json(channel: str, entry: Item | Event) -> str:
    """Return a JSON object in ASCII: the channel, and the entry's fields as in the protocol."""
    fields = entry.model_dump(mode="json", exclude_none=True, exclude={"type", "channel"})
    return json.dumps({"channel": channel, **fields})


def write(records: Iterable[str]) -> None:
    """Print records in one write.

    Raises:
        BrokenPipeError: the reader has closed the output.
    """
    text = "".join(f"{record}\n" for record in records)
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
