"""What a person says of a channel in their list: starred, its place, muted, when to be called."""

from __future__ import annotations

from chat.client.preferences import Wish
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.desk import title_of
from chat.client.presenter.view import Refused
from chat.client.state import ChannelInfo
from chat.protocol.words import PLACE_MAX

__all__ = ["LEVELS", "move", "mute", "notify", "star"]

LEVELS = {
    "all": "You are called for every message in {}.",
    "mentions": "You are called in {} for what is meant for you.",
    "none": "You are called for nothing in {}.",
}
"""The levels, and what each of them means."""


def star(conversation: Conversation, info: ChannelInfo, is_starred: bool) -> None:
    """Put a channel below those that stand first in the list, or take it from there."""
    _check(info)
    last = max((each.pinned for each in conversation.desk.channels.values()), default=0)
    if is_starred != bool(info.pinned):
        place = min(last + 1, PLACE_MAX) if is_starred else 0
        conversation.core.prefer(info.name, Wish(pinned=place))
    where = "first in your list" if is_starred else "in its order in your list"
    conversation.view.say(f"{title_of(info)} stands {where}.")


def move(conversation: Conversation, info: ChannelInfo, step: int) -> None:
    """Move a channel up (-1) or down (1) among those that stand first in the list."""
    starred = [each for each in conversation.desk.channels.values() if each.pinned]
    if info not in starred:
        raise Refused(f"{title_of(info)} has no place of its own. /star puts it first.")
    at = starred.index(info)
    to = min(max(at + step, 0), len(starred) - 1)
    starred.insert(to, starred.pop(at))
    for place, each in enumerate(starred, 1):
        if each.pinned != place:
            conversation.core.prefer(each.name, Wish(pinned=place))


def mute(conversation: Conversation, info: ChannelInfo, is_muted: bool) -> None:
    """Bring only mentions in a channel to one's notice, or everything again."""
    _check(info)
    conversation.core.prefer(info.name, Wish(muted=is_muted))
    what = "only mentions of you count" if is_muted else "all that is said counts again"
    conversation.view.say(f"{title_of(info)}: {what}.")


def notify(conversation: Conversation, info: ChannelInfo, level: str) -> None:
    """Choose for which messages of a channel one is called; without a level, say it."""
    _check(info)
    if level and level not in LEVELS:
        raise Refused(f"“{level}” is no level. Write /notify all, mentions or none.")
    if level:
        conversation.core.prefer(info.name, Wish(level=level))
    chosen = level or info.level
    conversation.view.say(LEVELS.get(chosen, LEVELS["mentions"]).format(title_of(info)))


def _check(info: ChannelInfo) -> None:
    if info.builtin:
        raise Refused(f"{info.name} is this session's own, and is gone with it.")
