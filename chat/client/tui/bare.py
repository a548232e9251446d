"""The conversation as bare text: each message as it was written, in lines that nothing wraps.

What a terminal wraps by itself, it copies as one line: a long address stays whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len

from chat.client.presenter.local_time import local_time
from chat.client.state import Message
from chat.client.tui.foreign_text import shown
from chat.client.tui.timeline import events
from chat.text import printable_line

__all__ = ["bare_lines"]

_TAB = 8


def bare_lines(messages: Iterable[Message], width: int, height: int) -> list[str]:
    """Return lines that may go to a terminal, as many of the last ones as it has room for.

    Args:
        messages: the newest first.
        width: the terminal's, in cells.
        height: its rows.
    """
    lines: list[str] = []
    room = height
    for message in messages:
        for line in reversed(_told(message)):
            room -= max(1, -(-cell_len(line) // width))
            if room < 0:
                return lines[::-1]
            lines.append(line)
    return lines[::-1]


def _told(message: Message) -> list[str]:
    time, author = f"{local_time(message.ts):%H:%M}", shown(printable_line(message.author))
    if message.kind != "message":
        return [f"{time} {shown(printable_line(events.tell(message)))}"]
    if message.erased:
        return [f"{time} {author}", "message deleted"]
    text = shown(message.text).expandtabs(_TAB).split("\n")
    if message.me:
        return [f"{time} * {author} {text[0]}", *text[1:]]
    return [f"{time} {author}", *text]
