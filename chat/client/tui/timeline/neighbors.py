"""Day rules, author groups and folded joins around a message. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from chat.client.model.state import Message
from chat.client.platform.local_time import local_time
from chat.client.presenter.log import Key, Log

__all__ = ["Folding", "Joins", "Neighbors", "around", "fold_bounds", "shows_all"]

GROUP_MS = 5 * 60 * 1000
"""Longest time in ms between two messages of one author that share a header."""

_FOLD = 256
_SKIPPED_RUNS = 8

Folding = Callable[[Message], bool]
"""Whether a message is by an ignored user, and not to be shown."""
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
        hidden: nothing is shown; the last line of a run of joins and leaves, or of messages by
            ignored users, shows them all.
        silent: only the rules above the line are shown.
        folded: the joins and leaves, or the messages by ignored users, that this line shows, its
            own included.
        target: the message that this one replies to, if it is loaded and not folded.
        replies: the number of messages in the thread that starts here.
        waiting: the number of these that the reader, who follows the thread, has not read.
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
    waiting: int = 0


def shows_all(_message: Message) -> bool:
    """Fold no message."""
    return False


def around(
    log: Log,
    index: int,
    unread: Key | None,
    joins: Joins = "all",
    is_folded: Folding = shows_all,
    waiting: Mapping[int, int] = MappingProxyType({}),
) -> Neighbors:
    """Return the neighbors of the line at `index`.

    Args:
        log: the messages.
        index: the index of the line.
        unread: the key of the line below the unread rule.
        joins: the joins and leaves to show.
        is_folded: whether a message is by an ignored user.
        waiting: the numbers of unread replies by the root of their thread.
    """
    message = log[index]
    target = log.line(message.reply_to) if message.reply_to is not None else None
    if target is not None and is_folded(target):
        target = None
    is_ignored = is_folded(message)
    folding = message.is_passage or is_ignored
    if folding and index + 1 < len(log) and _folds(log, index, index + 1, unread, is_folded):
        return Neighbors(hidden=True)
    folded: tuple[Message, ...] = ()
    top, silent = index, False
    if is_ignored:
        top = fold_bounds(log, index, unread, is_folded)[0]
        folded = tuple(log[number] for number in range(top, index + 1))
    elif folding:
        top = fold_bounds(log, index, unread)[0]
        folded = shown_joins(log, top, index, joins)
        silent = not folded
        if silent and top and log[top].seq not in log.gaps:
            return Neighbors(hidden=True)
    previous, is_under_silent = _above(log, top, unread, joins)
    is_first = previous is None or is_under_silent
    # A silent first line leaves the day rule to the next line.
    day = not silent if previous is None or is_first else _is_new_day(previous, message)
    is_unread = unread is not None and log.key(top) == unread
    gap = message.seq is not None and log[top].seq in log.gaps
    ruled = day or is_unread or gap
    is_below_fold = previous is not None and is_folded(previous)
    grouped = not ruled and not is_ignored and not is_below_fold and _groups(previous, message)
    both_small = (is_below_fold or _is_small(previous)) and (is_ignored or _is_small(message))
    return Neighbors(
        older=previous is None and not log.complete and message.seq is not None,
        beginning=previous is None and log.complete,
        day=day,
        unread=is_unread,
        gap=gap,
        grouped=grouped,
        silent=silent,
        spaced=not is_first and not grouped and (ruled or not both_small),
        folded=folded,
        target=target,
        replies=log.replies(message.seq),
        waiting=waiting.get(message.seq or 0, 0),
    )


def fold_bounds(
    log: Log, index: int, unread: Key | None, is_folded: Folding = shows_all
) -> tuple[int, int]:
    """Return the first and the last index of the run of lines that fold into one with `index`."""
    first = last = index
    while first > 0 and _folds(log, first - 1, first, unread, is_folded):
        first -= 1
    while last + 1 < len(log) and _folds(log, last, last + 1, unread, is_folded):
        last += 1
    return first, last


def shown_joins(log: Log, first: int, last: int, joins: Joins) -> tuple[Message, ...]:
    """Return the joins and leaves of a run that are shown, by the setting `joins`."""
    if joins == "none":
        return ()
    run = (log[number] for number in range(first, last + 1))
    return tuple(line for line in run if joins == "all" or line.author in log.speakers)


def _above(log: Log, index: int, unread: Key | None, joins: Joins) -> tuple[Message | None, bool]:
    """Return the line above the line at `index`, skipping runs that are not shown.

    Also return whether it is in a run at the top of the log of which only the rules are shown.
    """
    for _ in range(_SKIPPED_RUNS):
        if not index or not log[index - 1].is_passage or joins == "all":
            break
        top = fold_bounds(log, index - 1, unread)[0]
        is_silent = not shown_joins(log, top, index - 1, joins)
        if not is_silent or not top or log[top].seq in log.gaps:
            return log[index - 1], is_silent and not top
        index = top
    return (log[index - 1] if index else None), False


def _folds(
    log: Log, upper: int, lower: int, unread: Key | None, is_folded: Folding = shows_all
) -> bool:
    """Whether two adjacent lines fold into one.

    A run ends at multiples of `_FOLD`, so the number of neighbors to check is bounded.
    """
    above, below = log[upper], log[lower]
    are_joins = above.is_passage and below.is_passage
    return (
        (are_joins or (is_folded(above) and is_folded(below)))
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
