"""Layout of the main screen: its widgets, which of them show, and what they draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Container, Horizontal

from chat.client.model.state import ChannelInfo, MembersChanged
from chat.client.presenter.acts import message_acts
from chat.client.presenter.composer.draft import Aim
from chat.client.presenter.state import ConversationState, title_of
from chat.client.presenter.view import Pane
from chat.client.presenter.workspace import Workspace
from chat.client.tui.keymap import KeyRow
from chat.client.tui.safe_text import line
from chat.client.tui.widgets.bars import (
    Banner,
    ChannelHeader,
    MessageBar,
    StatusBar,
    ThreadHeader,
    TypingLine,
    actions_of,
)
from chat.client.tui.widgets.conversation_pane import ConversationPane
from chat.client.tui.widgets.empty_state import EmptyState
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar
from chat.text import channel_title

__all__ = ["Layout"]

_WIDE = 100
"""Minimum columns for the sidebar and the member list beside the timeline."""
_SIDEBAR = range(24, 41)
"""Columns of the sidebar: a fifth of the screen within these bounds."""
_HINTS = {"channel.switch": "go to", "channel.unread": "next unread", "help": "help"}


_ONLY_COMMANDS = "Type / to run a command"
"""The placeholder where the user may not write."""


class Layout:
    """The widgets of the main screen, by name.

    A thread replaces the member list; in a narrow terminal it is below its channel.

    Args:
        keys: all bound keys.
        has_vi: whether to enable vi keys.
    """

    CSS = """
    MainScreen {
        & #body { height: 1fr; }
        & #work { width: 1fr; layout: horizontal; }
        & #work.-stacked { layout: vertical; }
        & #channel { width: 1fr; height: 1fr; }
        & #thread {
            width: 45%;
            max-width: 72;
            border-left: solid $foreground 20%;
        }
        & #thread.-stacked { width: 100%; max-width: 100%; height: 1fr; border-left: none; }
        & #thread.-stacked ThreadHeader { background: $tint; }
    }
    """

    def __init__(self, keys: Sequence[KeyRow], *, has_vi: bool) -> None:
        self.sidebar = Sidebar()
        self.members = MemberList()
        self.status = StatusBar()
        labels = {row.id: row.keys[0] for row in keys}
        self.status.hints = tuple(
            (key, _HINTS[name]) for name, key in labels.items() if name in _HINTS
        )
        self.status.next_unread = labels.get("channel.unread", "")
        self.actions = MessageBar(actions_of(keys), labels.get("timeline.focus", ""))
        self.header, self.banner = ChannelHeader(), Banner()
        self.empty, self.typing = EmptyState(), TypingLine(labels.get("timeline.bottom", ""))
        place_key = labels.get("composer.in_channel", "")
        self.channel = ConversationPane(
            (self.header, self.banner),
            (self.empty, self.typing),
            has_vi=has_vi,
            place_key=place_key,
            id="channel",
        )
        self._thread_header = ThreadHeader()
        self.thread = ConversationPane(
            (self._thread_header,), has_vi=has_vi, place_key=place_key, id="thread"
        )
        self.thread.display = False
        self._work = Container(self.channel, id="work")
        self._body = Horizontal(id="body")
        self._wanted: dict[Pane, bool | None] = {"sidebar": None, "members": None}
        """Whether each pane is displayed; None: depending on the width."""
        self._is_wide = False
        self._members: MembersChanged | None = None
        self._reply_hint = ""

    def compose(self) -> ComposeResult:
        """Compose the widgets, except the thread pane."""
        with self._body:
            yield self.sidebar
            yield self._work
            yield self.members
        yield self.actions
        yield self.status

    def add_thread(self) -> None:
        """Mount the thread pane, after the first paint, which is 10 ms faster without it."""
        if self._work.is_attached:  # else the app has exited
            self._work.mount(self.thread)

    # Display of the widgets

    def show_thread(self, channel: str, server: str) -> None:
        """Show the pane of the thread, with the titles of its channel and of its server if any."""
        on_server = f" on {server}" if server else ""
        self._thread_header.channel = f"{channel}{on_server}"
        self._reply_hint = f"Reply in thread{on_server}"
        self.thread.display = True
        self._fit()

    def close_thread(self) -> None:
        """Hide the thread pane, and move its focus to the channel."""
        self.thread.timeline.action_leave()
        if self.thread.has_focus_within:
            self.channel.screen.set_focus(self.channel.composer)
        self.thread.display = False
        self._fit()

    def toggle(self, pane: Pane) -> None:
        """Toggle a pane; in a narrow terminal it replaces the other pane."""
        wanted = not (self.sidebar if pane == "sidebar" else self.members).display
        other: Pane = "members" if pane == "sidebar" else "sidebar"
        self._wanted[pane] = None if wanted == self._is_wide else wanted
        if wanted and not self._is_wide and self._wanted[other]:
            self._wanted[other] = None
        self._fit()

    def fit(self, width: int) -> None:
        """Show or hide the panes for the screen's width."""
        self._is_wide = width >= _WIDE
        self.sidebar.styles.width = min(max(width // 5, _SIDEBAR[0]), _SIDEBAR[-1])
        self._fit()

    def _fit(self) -> None:
        sidebar, members = (
            self._is_wide if wanted is None else wanted for wanted in self._wanted.values()
        )
        self.sidebar.display, self.status.has_activity = sidebar, not sidebar
        for part in (self._work, self.thread):
            part.set_class(not self._is_wide, "-stacked")
        self.members.display = members and not self.thread.display

    def make_room(self, rows: int) -> None:
        """Leave rows free above the status bar."""
        if self._body.styles.margin.bottom != rows:
            self._body.styles.margin = (0, 0, rows, 0)

    # Contents; each widget repaints only changes

    def draw_lists(self, workspace: Workspace) -> None:
        """Show the channels of all servers."""
        reading = workspace.front.conversation.reading
        is_reading = reading.is_watched and not reading.is_peeking
        is_read = is_reading and self.channel.timeline.at_bottom
        groups, here = workspace.groups(), workspace.here
        self.sidebar.show(groups, here, is_read=is_read)
        self.status.show_activity(groups, here)

    def draw(self, workspace: Workspace) -> None:
        """Show the current conversation."""
        conversation = workspace.front.conversation
        state, drafts = conversation.state, conversation.drafts
        self.banner.show(state.connection_problem)
        server = workspace.title_beside(workspace.front.key)
        self.header.channel = _headed(state.info)
        self.header.server = server or workspace.front.title
        self.header.is_one_of_several = bool(server)
        self.header.is_peeking = conversation.reading.is_peeking
        self.channel.timeline.display = state.current is not None
        self.empty.display = state.current is None
        if self.empty.display:
            self.empty.show(state.connection)
        self.typing.names = state.typing
        self._draw_members(state.members.get(state.current or ""), is_online=state.is_online)
        title = title_of(state.info) if state.info is not None else ""
        for pane, key in zip((self.channel, self.thread), drafts.open, strict=False):
            pane.context.show(drafts.at(key), title if drafts.has_place_to_choose(key) else "")
        waiting = {each.root: each.unread for each in state.info.threads} if state.info else {}
        for pane in (self.channel, self.thread):
            pane.timeline.note(state.is_folded, state.folds, waiting)
        silence = "" if drafts.is_joining else conversation.why_silent
        self.channel.hush("" if self.thread.display else silence)
        self.thread.hush(silence)
        opening = channel_title(drafts.channel, state.user) if drafts.is_joining else ""
        placeholder = _ONLY_COMMANDS if silence else _placeholder(state.info, opening, server)
        draft = drafts.here
        if draft.aim is Aim.REPLY and draft.message is not None:
            placeholder = f"Reply to {draft.message.author}"
        self.channel.composer.placeholder = line(placeholder)
        self.thread.composer.placeholder = line(_ONLY_COMMANDS if silence else self._reply_hint)
        self._thread_header.is_followed = _follows(state)
        self._draw_status(workspace)
        self._draw_actions(workspace)

    def _draw_members(self, members: MembersChanged | None, *, is_online: bool) -> None:
        self.members.show(members, is_online=is_online)
        if members is not self._members:
            self._members = members
            people = tuple(name for name, _, _ in members.members) if members else ()
            for pane in (self.channel, self.thread):
                pane.timeline.name_people(people)

    def _draw_status(self, workspace: Workspace) -> None:
        conversation, status = workspace.front.conversation, self.status
        state = conversation.state
        status.connection, status.user = state.connection, state.user
        status.server = workspace.front.address
        status.status, status.remaining = conversation.status, state.retry_in
        status.do_not_disturb = conversation.notifier.note

    def _draw_actions(self, workspace: Workspace) -> None:
        """Show the actions on the selected message in place of the status bar."""
        state, bar = workspace.front.conversation.state, self.actions
        bar.user = state.user
        timeline = self.channel.timeline
        if timeline.cursor is None:
            timeline = self.thread.timeline
        bar.thread, bar.chosen = timeline.thread, timeline.cursor
        chosen = bar.chosen
        acts = message_acts(state, chosen) if chosen is not None else ()
        bar.acts = frozenset(each.key for each in acts)
        bar.has_keys = bar.chosen is not None and timeline.has_focus
        self.status.display = not bar.display


def _follows(state: ConversationState) -> bool | None:
    """Return whether the user follows the open thread; None if the server does not know it."""
    if state.thread is None or state.info is None or not state.connection.has_rooms:
        return None
    return state.thread.root in state.info.followed


def _headed(info: ChannelInfo | None) -> ChannelInfo | None:
    """Return the fields of a channel that the header shows; equal if the header need not change."""
    return info and replace(info, head=0, read=0, unread=0, mentions=0)


def _placeholder(info: ChannelInfo | None, opening: str, server: str) -> str:
    if opening:
        return f"Joining {opening}: your text will be sent there"
    if info is None:
        return "Type /join #general to join a channel"
    return f"Message {title_of(info)} on {server}" if server else f"Message {title_of(info)}"
