"""Change how a channel is listed and when it notifies, and do not disturb."""

from __future__ import annotations

from dataclasses import replace

from chat.client.model.preferences import PreferenceChange
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import ChannelInfo
from chat.client.presenter.commands import targets
from chat.client.presenter.commands.moderation import mute_member
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.state import title_of
from chat.client.presenter.view import Refused
from chat.protocol.limits import PLACE_MAX

__all__ = ["HANDLERS", "move"]


_LEVELS = {
    "all": "You will be notified of every message in {}.",
    "mentions": "You will be notified of mentions and keywords in {}.",
    "none": "Notifications are off in {}.",
}
"""Notification levels, each with its confirmation."""
_DAY = 24 * 60


def _star(conversation: Conversation, asked: Invocation) -> None:
    """Star or unstar a channel; starred channels come first in the sidebar."""
    info, is_starred = targets.mine(conversation, asked), asked.command.name == "star"
    _check(info)
    last = max((each.pinned for each in conversation.state.channels.values()), default=0)
    if is_starred != bool(info.pinned):
        place = min(last + 1, PLACE_MAX) if is_starred else 0
        conversation.core.prefer(info.name, PreferenceChange(pinned=place))
    conversation.view.say(f"{title_of(info)} {'starred' if is_starred else 'unstarred'}.")


def _move(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("where").lower():
        case "up" | "down" as where:
            move(conversation, targets.here(conversation), -1 if where == "up" else 1)
        case other:
            raise Refused(f"“{other}” is not a direction. Use /move up or /move down.")


def move(conversation: Conversation, info: ChannelInfo, step: int) -> None:
    """Move a channel up (-1) or down (1) among the starred ones."""
    starred = [each for each in conversation.state.channels.values() if each.pinned]
    if info not in starred:
        raise Refused(f"{title_of(info)} is not starred. Use /star first.")
    at = starred.index(info)
    to = min(max(at + step, 0), len(starred) - 1)
    starred.insert(to, starred.pop(at))
    for place, each in enumerate(starred, 1):
        if each.pinned != place:
            conversation.core.prefer(each.name, PreferenceChange(pinned=place))


def _mute(conversation: Conversation, asked: Invocation) -> None:
    """Mute or unmute a channel for the user, or as a moderator a member: `@NAME`.

    A muted channel notifies only of mentions.
    """
    word = asked.get("channel|@name")
    if word.startswith("@") and "," not in word:
        mute_member(conversation, asked, word)
        return
    if asked.get("duration") or asked.get("reason"):
        raise Refused("A duration and a reason are for members: /mute @NAME 10m spam.")
    asked = replace(asked, values={"channel": word})
    info, is_muted = targets.mine(conversation, asked), asked.command.name == "mute"
    _check(info)
    conversation.core.prefer(info.name, PreferenceChange(muted=is_muted))
    what = "muted; mentions still notify you" if is_muted else "unmuted"
    conversation.view.say(f"{title_of(info)} {what}.")


def _notify(conversation: Conversation, asked: Invocation) -> None:
    """Set the notification level of the current channel; without a level, show it."""
    info, level = targets.here(conversation), asked.get("level").lower()
    _check(info)
    if level and level not in _LEVELS:
        raise Refused(f"“{level}” is not a notification level. Use all, mentions or none.")
    if level:
        conversation.core.prefer(info.name, PreferenceChange(level=level))
    chosen = level or info.level
    conversation.view.say(_LEVELS.get(chosen, _LEVELS["mentions"]).format(title_of(info)))


def _check(info: ChannelInfo) -> None:
    if info.builtin:
        raise Refused(f"{info.name} is a built-in channel and stores nothing; it has no settings.")


def _dnd(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("minutes").lower():
        case "":
            minutes = 0.0 if conversation.notifier.is_quiet else None
        case "on":
            minutes = None
        case "off":
            minutes = 0.0
        case word if word.isascii() and word.isdigit() and 0 < int(word[:6]) <= _DAY:
            minutes = float(word)
        case other:
            raise Refused(f"“{other}” is not valid. Use on, off, or 1 to 1440 minutes.")
    conversation.notifier.be_quiet(minutes, conversation.view.redraw)
    note = conversation.notifier.note
    conversation.view.say(f"Notifications are off ({note})." if note else "Notifications are on.")


HANDLERS: dict[str, Handler] = {
    "star": _star,
    "unstar": _star,
    "move": _move,
    "mute": _mute,
    "unmute": _mute,
    "notify": _notify,
    "dnd": _dnd,
}
"""The handlers by command name."""
