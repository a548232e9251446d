"""Resolve the channel or message that a slash command names.

Raises:
    Refused: there is no such channel or message; the error says why.
"""

from __future__ import annotations

from chat.client.model.slash.parser import Invocation
from chat.client.model.state import ChannelInfo, Delivery, Message
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.view import Refused
from chat.text import check_channel

__all__ = ["channel", "here", "message", "mine", "own_message", "seq_of", "target", "written_in"]


def here(conversation: Conversation) -> ChannelInfo:
    """Return the current channel."""
    if conversation.state.current is None:
        raise Refused("You have not joined a channel. Use /join #general to join one.")
    return conversation.state.info or ChannelInfo(conversation.state.current)


def written_in(conversation: Conversation, asked: Invocation) -> PaneKey:
    """Return the channel or thread that the command was typed in."""
    return PaneKey(conversation.state.current or "", asked.thread)


def channel(conversation: Conversation, asked: Invocation) -> str:
    """Return the named channel (`#` is optional), or the current one."""
    word = asked.get("channel")
    if not word:
        return here(conversation).name
    try:
        return check_channel(word if word[:1] in ("#", "@") else f"#{word}")
    except ValueError as exc:
        raise Refused(f"“{word}” {exc}") from None


def mine(conversation: Conversation, asked: Invocation) -> ChannelInfo:
    """Return the named channel, which the user must be in, or the current one."""
    name = channel(conversation, asked)
    if name not in conversation.state.channels and asked.get("channel"):
        raise Refused(f"You are not in {name}.")
    return conversation.state.channels.get(name) or here(conversation)


def own_message(conversation: Conversation, asked: Invocation) -> Message:
    """Return the user's own message with the given number, or their last one."""
    number = asked.get("number")
    if not number.isdigit():
        log = conversation.state.log(here(conversation).name, asked.thread)
        last = log.latest(conversation.state.user)
        if last is None:
            raise Refused("You have no confirmed message here.")
        return last
    found = message(conversation, asked)
    if found.author != conversation.state.user:
        raise Refused(
            f"Message {number} is by {found.author}. You can edit only your own messages."
        )
    if found.delivery is not Delivery.SENT:
        raise Refused(f"Message {number} can no longer be edited.")
    return found


def message(conversation: Conversation, asked: Invocation) -> Message:
    """Return the message with the given number, or the latest one; it must be loaded."""
    number = target(conversation, asked)
    found = conversation.state.find(here(conversation).name, number)
    if found is None:
        raise Refused(f"Message {number} is not loaded. Use /thread {number} to load it.")
    if found.deleted:
        raise Refused(f"Message {number} was deleted.")
    return found


def target(conversation: Conversation, asked: Invocation) -> int:
    """Return the number of the message that is meant: the given one, or the latest."""
    number = asked.get("number")
    if number.isdigit():
        return _number(conversation, int(number))
    latest = conversation.state.log(here(conversation).name, asked.thread).latest()
    if latest is None:
        raise Refused("There are no messages here yet.")
    return seq_of(latest)


def _number(conversation: Conversation, number: int) -> int:
    """Return the number, unless it is known to be that of something else than a message."""
    info = here(conversation)
    line = conversation.state.log(info.name).line(number)
    if line is not None and line.kind != "message":
        raise Refused(
            f"Number {number} is not a message. It is a “{line.kind}” event by {line.author}."
        )
    if info.head and not 0 < number <= info.head and line is None:
        raise Refused(f"There is no message {number} in {info.name}: the newest is {info.head}.")
    return number


def seq_of(line: Message) -> int:
    """Return the number of a message that the server has confirmed."""
    if line.seq is None:
        raise Refused("The server has not confirmed this message yet.")
    return line.seq
