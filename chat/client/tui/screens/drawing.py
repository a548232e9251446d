"""The conversation's desk, drawn into the widgets around the timeline."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from chat.client.state import ChannelInfo
from chat.client.tui.completing import Sources
from chat.client.tui.conversation import Conversation
from chat.client.tui.desk import title_of
from chat.client.tui.plain import line
from chat.client.tui.sheet import Aim, Sheet
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.activity import ActivityBar
from chat.client.tui.widgets.bars import ChannelHeader, ContextBar, StatusBar, TypingLine
from chat.client.tui.widgets.composer import Composer
from chat.client.tui.widgets.empty_state import EmptyState
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["draw", "window_title"]


def draw(screen: Screen[Any], conversation: Conversation) -> None:
    """Give every widget what it shows; each draws only what is new to it."""
    desk = conversation.desk
    screen.query_one(Sidebar).show(tuple(desk.channels.values()), desk.current)
    activity = screen.query_one(ActivityBar)
    activity.channels, activity.current = tuple(desk.channels.values()), desk.current
    header = screen.query_one(ChannelHeader)
    header.channel, header.server = desk.info, desk.connection.server
    header.is_peeking = conversation.reading.is_peeking
    screen.query_one(Timeline).display = desk.current is not None
    empty = screen.query_one(EmptyState)
    empty.display = desk.current is None
    empty.show(desk.connection)
    screen.query_one(TypingLine).names = desk.typing
    screen.query_one(MemberList).show(desk.members.get(desk.current or ""))
    _draw_context(screen.query_one(ContextBar), conversation.sheet)
    status = screen.query_one(StatusBar)
    status.connection, status.user = desk.connection, desk.user
    status.status = conversation.status
    composer = screen.query_one(Composer)
    themes = ("dark", "light", *sorted(screen.app.available_themes))
    said = desk.recent(desk.current or "").numbered()
    composer.sources = Sources(desk.names, tuple(desk.channels), themes, said)
    composer.placeholder = line(_placeholder(desk.info))


def window_title(conversation: Conversation) -> str:
    """Return what the terminal's window should be called; foreign text, not yet harmless."""
    info = conversation.desk.info
    if info is None:
        return "chat"
    waiting = conversation.desk.to_answer()
    return f"({waiting}) {title_of(info)} – chat" if waiting else f"{title_of(info)} – chat"


def _draw_context(bar: ContextBar, sheet: Sheet) -> None:
    if sheet.aim is Aim.MESSAGE or sheet.message is None:
        bar.hide()
    elif sheet.aim is Aim.REPLY:
        bar.show("Replying to ", sheet.message.author, sheet.message.text)
    else:
        bar.show("Changing your message", "", sheet.message.text)


def _placeholder(info: ChannelInfo | None) -> str:
    if info is None:
        return "Write /join #general to enter a channel"
    return f"Write to {title_of(info)}"
