"""Find cached messages around one far up in the log."""

from __future__ import annotations

from chat.client.model.channel import Channel
from chat.client.model.state import Message
from chat.client.storage.account import Account

__all__ = ["NEAR", "lines_down_to", "lines_near"]

ABOVE = 50
"""Lines shown above the one that was asked for."""
_AT_ONCE = 1_000
NEAR = 8
"""Lines before and after one that are enough to find its neighbours among them."""


def lines_down_to(account: Account, channel: Channel, seq: int) -> tuple[list[Message], int]:
    """Return what the screens do not hold yet, from some lines above `seq` on.

    Returns:
        The lines in order, and the lowest seq of what is known there; no lines and what is shown
        already if `seq` is shown, or is not at hand.
    """
    shown = channel.shown_from or channel.view.position + 1
    if seq >= shown or channel.view.coverage.around(seq) is None:
        return [], shown
    lines, lowest = account.lines_before(channel, seq + 1, ABOVE)
    found = {line.seq: line for line in lines}
    for first, last in channel.view.coverage.spans:
        before = min(last + 1, shown)
        while before > max(first, seq + 1):
            page, below = account.lines_before(channel, before, _AT_ONCE)
            found |= {line.seq: line for line in page if (line.seq or 0) > seq}
            before = below
    return [found[key] for key in sorted(found, key=lambda key: key or 0)], lowest


def lines_near(account: Account, channel: Channel, seq: int) -> list[Message]:
    """Return some lines before and after one, and itself, if they are at hand."""
    span = channel.view.coverage.around(seq)
    if span is None:
        return []
    return account.lines_before(channel, min(seq + NEAR, span[1]) + 1, 2 * NEAR)[0]
