"""The switcher: channels, people and commands, found by a few letters in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from textual.screen import Screen

from chat.client.slash import COMMANDS, Command
from chat.client.state import ChannelInfo
from chat.client.tui.choice import Choice
from chat.client.tui.conversation import Conversation
from chat.client.tui.desk import Desk, title_of, weight
from chat.client.tui.screens.dialogs import pick
from chat.text import is_direct

__all__ = ["pick_anything"]

Act = Callable[[], object]


def pick_anything(
    screen: Screen[Any], conversation: Conversation, begin: Callable[[str], None]
) -> None:
    """Choose where to go or what to do; `begin` lets the person write what a command needs."""
    desk = conversation.desk
    offers: dict[str, tuple[Choice, Act]] = {}
    for info in _channels(desk):
        sign = "@" if is_direct(info.name) else ""
        label = f"{sign}{title_of(info)}"
        offers[label] = (Choice(label, label, _note(info)), partial(_open, conversation, info.name))
    for name in desk.names:
        label = f"@{name}"
        if label not in offers:
            write = partial(conversation.write_to, name)
            offers[label] = (Choice(label, label, "write to them directly"), write)
    for command in COMMANDS:
        label = f"/{command.name}"
        offers[label] = (Choice(label, label, command.help), _run(conversation, begin, command))
    choices = [choice for choice, _ in offers.values()]
    pick(screen, "Go to a channel or a person, or run a command", choices, lambda k: offers[k][1]())


def _channels(desk: Desk) -> Iterator[ChannelInfo]:
    """Return what waits, then where one was last, then the others."""
    infos = [info for info in desk.channels.values() if info.name != desk.current]
    infos.sort(key=lambda info: (-weight(info) if info.unread else 1, info.name != desk.previous))
    yield from infos


def _open(conversation: Conversation, channel: str) -> None:
    conversation.open_channel(channel)


def _run(conversation: Conversation, begin: Callable[[str], None], command: Command) -> Act:
    if all(argument.optional for argument in command.arguments):
        here = conversation.desk.current or ""
        return partial(conversation.submit, f"/{command.name}", here)
    return partial(begin, f"/{command.name} ")


def _note(info: ChannelInfo) -> str:
    counts = []
    if info.mentions:
        counts.append(f"@{info.mentions}")
    if info.unread:
        counts.append(f"{info.unread} unread")
    return " · ".join([*counts, info.topic] if info.topic else counts)
