"""Output of `tail` and `export`: a line for people, or a JSON object per entry."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable

from chat.client.model.describe import describe_entry
from chat.client.platform.local_time import local_time
from chat.protocol.items import Event, Item

__all__ = ["Render", "as_json", "as_text", "write"]

Render = Callable[[str, Item | Event], str]
"""Formats an entry of a channel as one record without its line break."""


def as_text(channel: str, entry: Item | Event) -> str:
    """Return `[41 2026-11-24 09:30] alice: text`; further lines of the text are indented."""
    when = local_time(entry.ts)
    return f"[{entry.seq} {when:%Y-%m-%d %H:%M}] {describe_entry(channel, entry)}"


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
