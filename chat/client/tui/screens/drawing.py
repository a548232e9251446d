"""Draw the conversation's state into the widgets around the timeline."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from textual.screen import Screen

from chat.client.model.state import ChannelInfo, Link
from chat.client.presenter.composer.completion import Sources
from chat.client.presenter.draft import Aim, Draft
from chat.client.presenter.navigation import as_listed
from chat.client.presenter.state import title_of
from chat.client.presenter.workspace import Workspace
from chat.client.tui.composer.widget import Composer
from chat.client.tui.safe_text import line
from chat.client.tui.timeline import LANGUAGES, Timeline
from chat.client.tui.widgets.bars import (
    ActivityBar,
    Banner,
    ChannelHeader,
    ContextBar,
    StatusBar,
    TypingLine,
)
from chat.client.tui.widgets.empty_state import EmptyState
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["draw", "draw_context", "draw_lists", "window_title"]


def draw_lists(screen: Screen[Any], seats: Workspace) -> None:
    """Show the channels of all servers."""
    reading = seats.front.conversation.reading
    is_reading = reading.is_watched and not reading.is_peeking
    is_at_bottom = screen.query_one(Timeline).at_bottom
    here = seats.here
    groups = as_listed(seats.groups(), here if is_reading and is_at_bottom else None)
    screen.query_one(Sidebar).show(groups, here)
    activity = screen.query_one(ActivityBar)
    activity.groups, activity.here = groups, here


def draw(screen: Screen[Any], seats: Workspace) -> None:
    """Give every other widget what it shows of the conversation in front.

    Each draws only what is new to it.
    """
    conversation = seats.front.conversation
    desk = conversation.desk
    screen.query_one(Banner).show(desk.trouble)
    header = screen.query_one(ChannelHeader)
    header.channel, header.server = _headed(desk.info), desk.connection.server
    header.is_peeking = conversation.reading.is_peeking
    screen.query_one(Timeline).display = desk.current is not None
    empty = screen.query_one(EmptyState)
    empty.display = desk.current is None
    if empty.display:
        empty.show(desk.connection)
    screen.query_one(TypingLine).names = desk.typing
    screen.query_one(MemberList).show(desk.members.get(desk.current or ""))
    for bar, key in zip(screen.query(ContextBar), conversation.drafts.open, strict=False):
        draw_context(bar, conversation.drafts.at(key))
    status = screen.query_one(StatusBar)
    status.connection, status.user = desk.connection, desk.user
    online = desk.connection.server if desk.connection.link is Link.ONLINE else ""
    status.server = seats.title_beside(seats.front.key) or online
    status.status, status.remaining = conversation.status, desk.retry_in
    status.calls = conversation.calling.note
    composer = screen.query_one(Composer)
    composer.sources = partial(_sources, screen, seats)
    composer.look_up = seats.look_up
    opening = conversation.drafts.channel if conversation.drafts.is_on_the_way else ""
    composer.placeholder = line(_placeholder(desk.info, opening))


def _headed(info: ChannelInfo | None) -> ChannelInfo | None:
    """Return what the header shows of a channel: the same, whatever arrives in it."""
    return info and replace(info, head=0, read=0, unread=0, mentions=0)


def window_title(seats: Workspace) -> str:
    """Return what the terminal's window should be called; foreign text, not yet harmless."""
    info = seats.front.conversation.desk.info
    if info is None:
        return "chat"
    waiting = seats.to_answer()
    return f"({waiting}) {title_of(info)} – chat" if waiting else f"{title_of(info)} – chat"


def draw_context(bar: ContextBar, draft: Draft) -> None:
    """Say what the text in a composer is for."""
    if draft.aim is Aim.MESSAGE or draft.message is None:
        bar.hide()
    elif draft.aim is Aim.REPLY:
        bar.show("Replying to ", draft.message.author, draft.message.text)
    else:
        bar.show("Changing your message", "", draft.message.text)


def _sources(screen: Screen[Any], seats: Workspace) -> Sources:
    """Return what there is to complete from; asked for only while somebody writes."""
    themes = ("dark", "light", *sorted(screen.app.available_themes))
    return replace(seats.sources(), themes=themes, languages=LANGUAGES)


def _placeholder(info: ChannelInfo | None, opening: str) -> str:
    if opening:
        return f"Opening {opening}: what you send goes there"
    if info is None:
        return "Write /join #general to enter a channel"
    return f"Write to {title_of(info)}"
