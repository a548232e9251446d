"""Unread messages of all channels, from the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.client.model.channel import Channel
from chat.client.model.state import Message, is_for, listing_order
from chat.client.storage.account import Account
from chat.text import fold, is_direct

__all__ = ["Unread", "Waiting", "Why", "unread_of", "urgency"]

Why = Literal["mention", "reply", "direct", "message"]
_MOST = 300  # of one channel: whoever is further behind reads on there
_WEIGHT: dict[Why, int] = {"mention": 0, "reply": 0, "direct": 1, "message": 2}


@dataclass(frozen=True, slots=True)
class Waiting:
    """One unread message, and why it may matter."""

    message: Message
    why: Why


@dataclass(frozen=True, slots=True)
class Unread:
    """What waits in one channel, oldest first; `earlier` more came before it."""

    channel: str
    waiting: tuple[Waiting, ...]
    earlier: int


def unread_of(account: Account) -> tuple[Unread, ...]:
    """Return what waits, channel by channel: mentions and answers, direct messages, the others."""
    mine = [each for each in account.channels.values() if each.is_member and _is_listed(each)]
    found = [_of(account, channel) for channel in sorted(mine, key=_order)]
    waiting = [each for each in found if each.waiting]
    return tuple(sorted(waiting, key=urgency))


def urgency(unread: Unread) -> int:
    """Return the place of a channel's most urgent message among all reasons; 0 comes first."""
    return min(_WEIGHT[each.why] for each in unread.waiting)


def _order(channel: Channel) -> tuple[bool, int, bool, bool, str]:
    return listing_order(channel.name, channel.wanted.pinned)


def _is_listed(channel: Channel) -> bool:
    """Whether the channel has unread messages for the inbox; of a muted one, mentions."""
    return (channel.view.mentions if channel.wanted.muted else channel.view.unread) > 0


def _of(account: Account, channel: Channel) -> Unread:
    view, me = channel.view, fold(account.me)
    lines, _ = account.lines_before(channel, view.position + 1, _MOST)
    unread = [
        line
        for line in lines
        if line.kind == "message"
        and not line.deleted
        and (line.seq or 0) > view.read
        and fold(line.author) != me
    ]
    waiting = tuple(Waiting(line, _why(channel, line, account.me)) for line in unread)
    return Unread(channel.name, waiting, max(0, view.unread - len(waiting)))


def _why(channel: Channel, line: Message, me: str) -> Why:
    answered = channel.view.line(line.reply_to) if line.reply_to is not None else None
    if answered is not None and fold(answered.author) == fold(me):
        return "reply"
    if is_for(line, me):  # an answer to what is not on this computer counts as one, too
        return "mention"
    return "direct" if is_direct(channel.name) else "message"
