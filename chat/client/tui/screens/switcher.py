"""The switcher: channels, people and commands, found by a few letters in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from textual.screen import Screen

from chat.client.presenter.choice import Choice
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.desk import title_of
from chat.client.presenter.seats import Seats
from chat.client.presenter.spots import Entry, waits, weight
from chat.client.slash_commands import COMMANDS, Command
from chat.client.state import ChannelInfo
from chat.client.tui.screens.dialogs import pick
from chat.text import check_channel, is_direct

__all__ = ["pick_anything"]

Act = Callable[[], object]


def pick_anything(screen: Screen[Any], seats: Seats, begin: Callable[[str], None]) -> None:
    """Choose where to go or what to do; `begin` lets the person write what a command needs."""
    conversation = seats.front.conversation
    offers: dict[str, tuple[Choice, Act]] = {}
    for entry, server in _entries(seats):
        sign = "@" if is_direct(entry.info.name) else ""
        label = f"{sign}{title_of(entry.info)}"
        key = f"{entry.spot.seat} {label}"
        offers[key] = (
            Choice(key, label, _note(entry.info, server)),
            partial(seats.open, entry.spot),
        )
    for name in conversation.desk.names:
        label = f"@{name}"
        if f"{seats.here.seat} {label}" not in offers:
            write = partial(conversation.write_to, name)
            offers[label] = (Choice(label, label, "write to them directly"), write)
    for command in COMMANDS:
        label = f"/{command.name}"
        offers[label] = (Choice(label, label, command.help), _run(conversation, begin, command))

    def go(key: str) -> None:
        if key in offers:
            offers[key][1]()
        else:
            conversation.join(key)

    choices = [choice for choice, _ in offers.values()]
    pick(screen, "Go to a channel or a person, or run a command", choices, go, _new)


def _new(written: str) -> Choice | None:
    """Offer a channel that one is not in, or that is not there yet; a mere slip makes none."""
    if not written.startswith("#"):
        return None
    try:
        name = check_channel(written)
    except ValueError:
        return None
    return Choice(name, name, "enter it, or create it")


def _entries(seats: Seats) -> Iterator[tuple[Entry, str]]:
    """Return what waits, where one was last, the others, and here; each with its server."""
    titles = {group.seat: group.title for group in seats.groups()}

    def order(entry: Entry) -> tuple[bool, int, bool]:
        return (entry.spot == seats.here, _urgency(entry.info), entry.spot != seats.before)

    for entry in sorted(seats.entries(), key=order):
        yield entry, titles[entry.spot.seat] if len(titles) > 1 else ""


def _urgency(info: ChannelInfo) -> int:
    return -weight(info) if waits(info) else 1


def _run(conversation: Conversation, begin: Callable[[str], None], command: Command) -> Act:
    if command.runs_at_once:
        return partial(conversation.run_command, f"/{command.name}")
    return partial(begin, f"/{command.name} ")


def _note(info: ChannelInfo, server: str) -> str:
    counts = []
    if info.mentions:
        counts.append(f"@{info.mentions}")
    if info.unread:
        counts.append(f"{info.unread} unread")
    return " · ".join(filter(None, [server, *counts, info.topic]))
