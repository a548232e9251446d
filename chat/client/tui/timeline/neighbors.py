"""Day rules, author groups and folded joins around a message. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.client.model.state import Message
from chat.client.platform.local_time import local_time
from chat.client.presenter.log import Key, Log

__all__ = ["Joins", "Neighbors", "around", "fold_bounds"]

GROUP_MS = 5 * 60 * 1000
"""Longest time in ms between two messages of one author that share a header."""

_FOLD = 256
_FOLDING = frozenset({"join", "leave"})
_SKIPPED_RUNS = 8

Joins = Literal["spoken", "all", "none"]
"""Joins and leaves to show; `spoken`: only of members with messages in the log."""


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Rules above a line, its grouping, and the lines shown with it.

    Args:
        older: the line is the first one loaded, and older lines exist.
        beginning: the line is the first of the channel.
        day: the line is the first of its day.
        unread: the unread rule is above the line.
        gap: lines are missing above the line.
        grouped: the line continues the group above, and needs no header.
        spaced: a blank line may separate it from the line above.
        hidden: nothing is shown; the last line of a run of joins and leaves shows them all.
        silent: only the rules above the line are shown.
        folded: the joins and leaves that this line shows, its own included.
        target: the message that this one replies to, if it is loaded.
        replies: the number of messages in the thread that starts here.
    """

    older: bool = False
    beginning: bool = False
    day: bool = False
    unread: bool = False
    gap: bool = False
    grouped: bool = False
    spaced: bool = False
    hidden: bool = False
    silent: bool = False
    folded: tuple[Message, ...] = ()
    target: Message | None = None
    replies: int = 0


def around(log: Log, index: int, unread: Key | None, joins: Joins = "all") -> Neighbors:
    """Return the neighbors of the line at `index`.

    Args:
        log: the messages.
        index: the index of the line.
        unread: the key of the line below the unread rule.
        joins: the joins and leaves to show.
    """
    message = log[index]
    target = log.line(message.reply_to) if message.reply_to is not None else None
    folding = message.kind in _FOLDING
    if folding and index + 1 < len(log) and _folds(log, index, index + 1, unread):
        return Neighbors(hidden=True)
    folded: tuple[Message, ...] = ()
    top, silent = index, False
    if folding:
        top = fold_bounds(log, index, unread)[0]
        folded = shown_joins(log, top, index, joins)
        silent = not folded
        if silent and top and log[top].seq not in log.gaps:
            return Neighbors(hidden=True)
    previous = _above(log, top, unread, joins)
    day = previous is None or _is_new_day(previous, message)
    is_unread = unread is not None and log.key(top) == unread
    gap = message.seq is not None and log[top].seq in log.gaps
    ruled = day or is_unread or gap
    grouped = not ruled and _groups(previous, message)
    both_small = _is_small(previous) and _is_small(message)
    return Neighbors(
        older=previous is None and not log.complete and message.seq is not None,
        beginning=previous is None and log.complete,
        day=day,
        unread=is_unread,
        gap=gap,
        grouped=grouped,
        silent=silent,
        spaced=previous is not None and not grouped and (ruled or not both_small),
        folded=folded,
        target=target,
        replies=log.replies(message.seq),
    )


def fold_bounds(log: Log, index: int, unread: Key | None) -> tuple[int, int]:
    """Return the first and the last index of the run of joins and leaves around `index`."""
    first = last = index
    while first > 0 and _folds(log, first - 1, first, unread):
        first -= 1
    while last + 1 < len(log) and _folds(log, last, last + 1, unread):
        last += 1
    return first, last


def shown_joins(log: Log, first: int, last: int, joins: Joins) -> tuple[Message, ...]:
    """Return the joins and leaves of a run that are shown, by the setting `joins`."""
    if joins == "none":
        return ()
    run = (log[number] for number in range(first, last + 1))
    return tuple(line for line in run if joins == "all" or line.author in log.speakers)


def _above(log: Log, index: int, unread: Key | None, joins: Joins) -> Message | None:
    """Return the line shown above the line at `index`, skipping runs that are not shown."""
    for _ in range(_SKIPPED_RUNS):
        if not index or log[index - 1].kind not in _FOLDING or joins == "all":
            break
        top = fold_bounds(log, index - 1, unread)[0]
        is_silent = not shown_joins(log, top, index - 1, joins)
        if not is_silent or not top or log[top].seq in log.gaps:
            break
        index = top
    return log[index - 1] if index else None


def _folds(log: Log, upper: int, lower: int, unread: Key | None) -> bool:
    """Whether two adjacent lines fold into one.

    A run ends at multiples of `_FOLD`, so the number of neighbors to check is bounded.
    """
    above, below = log[upper], log[lower]
    return (
        above.kind in _FOLDING
        and below.kind in _FOLDING
        and below.seq is not None
        and below.seq % _FOLD != 0
        and below.seq not in log.gaps
        and below.seq != unread
        and not _is_new_day(above, below)
    )


def _is_new_day(above: Message, below: Message) -> bool:
    return local_time(above.ts).date() != local_time(below.ts).date()


def _groups(above: Message | None, below: Message) -> bool:
    return (
        above is not None
        and above.kind == below.kind == "message"
        and above.author == below.author
        and (below.thread is None or below.thread != above.seq)  # a rule separates them in a thread
        and not (above.me or below.me)
        and abs(below.ts - above.ts) <= GROUP_MS
    )


def _is_small(message: Message | None) -> bool:
    """Whether the message is a single line without a header."""
    return message is not None and (message.kind != "message" or message.me)
