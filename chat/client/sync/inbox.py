"""Unread messages of all channels, from the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.client.model.channel import Channel
from chat.client.model.state import Message, is_for, listing_order
from chat.client.storage.account import Account
from chat.text import fold, is_direct

__all__ = ["Unread", "Waiting", "Why", "unread_of", "urgency"]

Why = Literal["mention", "reply", "thread", "direct", "message"]
_MOST = 300  # per channel: the rest is read in the channel itself
_WEIGHT: dict[Why, int] = {
    "mention": 0,
    "reply": 0,
    "thread": 1,
    "direct": 1,
    "message": 2,
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An unread message, and why it may matter."""

    message: Message
    why: Why


@dataclass(frozen=True, slots=True)
class Unread:
    """Unread messages of one channel, oldest first; `earlier` older ones are not included."""

    channel: str
    waiting: tuple[Waiting, ...]
    earlier: int


def unread_of(account: Account) -> tuple[Unread, ...]:
    """Return the unread messages by channel: mentions and replies first, then direct channels."""
    mine = [each for each in account.channels.values() if each.is_member and _is_listed(each)]
    found = [_unread_in(account, channel) for channel in sorted(mine, key=_order)]
    waiting = [each for each in found if each.waiting]
    return tuple(sorted(waiting, key=urgency))


def urgency(unread: Unread) -> int:
    """Return the rank of a channel's most urgent message; 0 is the most urgent."""
    return min(_WEIGHT[each.why] for each in unread.waiting)


def _order(channel: Channel) -> tuple[bool, int, bool, bool, str]:
    return listing_order(channel.name, channel.effective_preference.pinned)


def _is_listed(channel: Channel) -> bool:
    """Whether the inbox lists the channel; a muted one only for mentions."""
    view = channel.view
    if channel.effective_preference.muted:
        return view.mentions > 0 or any(thread.mentions for thread in view.threads.waiting)
    return view.unread > 0 or bool(view.threads.waiting)


def _unread_in(account: Account, channel: Channel) -> Unread:
    view = channel.view
    lines, _ = account.lines_before(channel, view.position + 1, _MOST)
    unread = [line for line in lines if view.weight(line, view.read)[0]]
    replies = [
        line
        for thread in view.threads.waiting
        for line in account.thread(channel, thread.root)
        if line.thread_only and view.weight(line, thread.read)[0]
    ]
    found = sorted([*unread, *replies], key=lambda line: line.seq or 0)
    waiting = tuple(Waiting(line, _reason(channel, line, account.me)) for line in found)
    return Unread(channel.name, waiting, max(0, view.unread - len(unread)))


def _reason(channel: Channel, line: Message, me: str) -> Why:
    answered = channel.view.line(line.reply_to) if line.reply_to is not None else None
    if answered is not None and fold(answered.author) == fold(me):
        return "reply"
    if is_for(line, me):  # also a reply to a message that is not cached
        return "mention"
    if line.thread_only:
        return "thread"
    return "direct" if is_direct(channel.name) else "message"
