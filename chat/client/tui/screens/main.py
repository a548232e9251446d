"""The main screen: lists at the sides, the timeline, and the composer.

It converts its widgets' messages to calls of the `Conversation`, and shows its state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets._toast import Toast, ToastRack

from chat.client.config.settings import ClientSettings
from chat.client.presenter import conversation
from chat.client.presenter.commands.channel_settings import move
from chat.client.presenter.commands.own_channel import open_invitation, open_invitations
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.commands.users import open_menu
from chat.client.presenter.composer.completion import Sources
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.switcher import Switcher
from chat.client.presenter.view import Pane
from chat.client.presenter.workspace import Cores, Workspace
from chat.client.sync.core import Core
from chat.client.tui.composer.area import Area
from chat.client.tui.composer.messages import Subject
from chat.client.tui.composer.widget import Composer
from chat.client.tui.keymap import MAIN_KEYS, KeyRow, keys_of_commands
from chat.client.tui.safe_text import sendable
from chat.client.tui.screens.copy_mode import copy_lines
from chat.client.tui.screens.layout import Layout
from chat.client.tui.screens.main_view import ScreenNotifier, ScreenView
from chat.client.tui.screens.message_actions import MessageActions
from chat.client.tui.screens.picker import confirm_paste, switch
from chat.client.tui.themes import short_names
from chat.client.tui.timeline import LANGUAGES, Timeline
from chat.client.tui.timeline.messages import (
    ActionRequested,
    GapWanted,
    LettersTyped,
    LinkClicked,
    OlderWanted,
    ReactionClicked,
    Seen,
    Selected,
)
from chat.client.tui.widgets.bars import ThreadHeader
from chat.client.tui.widgets.conversation_pane import ConversationPane
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["MainScreen", "Navigation"]


class Navigation:
    """Navigation by name: history, unread messages, mentions, inbox, search, threads."""

    def __init__(self, layout: Layout, workspace: Workspace) -> None:
        self._layout = layout
        self._workspace = workspace
        self._by_name: dict[str, Callable[[], None]] = {
            "back": partial(workspace.go_along, -1),
            "forward": partial(workspace.go_along, 1),
            "last": workspace.go_to_last,
            "first_unread": lambda: conversation.show_unread(self._conversation),
            "inbox": workspace.show_inbox,
            "search": lambda: conversation.search(self._conversation),
            "up": partial(self._move, -1),
            "down": partial(self._move, 1),
            "peek": self._peek,
            "mention_before": partial(self._mention, -1),
            "mention_after": partial(self._mention, 1),
            "thread": self._thread,
            "invitation": lambda: open_invitations(self._conversation),
        }

    def find(self, name: str) -> None:
        """Run the navigation command `name`."""
        self._by_name[name]()

    @property
    def _conversation(self) -> Conversation:
        return self._workspace.front.conversation

    def _peek(self) -> None:
        if channel := self._conversation.state.current:
            conversation.peek(self._conversation, channel)

    def _move(self, step: int) -> None:
        if info := self._conversation.state.info:
            with self._conversation.telling():
                move(self._conversation, info, step)

    def _thread(self) -> None:
        """Switch between the open thread and its channel, or open the selected message's thread."""
        channel, thread = self._layout.channel, self._layout.thread
        chosen = channel.timeline.cursor
        if thread.display:
            pane = channel if thread.has_focus_within else thread
            pane.screen.set_focus(pane.composer)
        elif chosen is not None and chosen.seq is not None:
            self._conversation.threads.show(chosen.channel, chosen.seq)
        else:
            self._conversation.view.say(
                "No thread is open. Select a message and press t to open its thread."
            )

    def _mention(self, step: int) -> None:
        """Go to the nearest mention in this channel, then to loaded ones in other channels."""
        seq = self._layout.channel.timeline.mention(step)
        if seq is not None:
            self._conversation.view.choose(seq)
        else:
            self._workspace.go_to_mention(step)


class MainScreen(Screen[None]):
    """The conversation."""

    DEFAULT_CSS = Layout.CSS

    BINDINGS: ClassVar[list[BindingType]] = MAIN_KEYS

    def __init__(self, cores: Cores, settings: ClientSettings, keys: Sequence[KeyRow]) -> None:
        super().__init__()
        self._is_styled = False
        self._layout = Layout(keys, has_vi=settings.editing == "vi")
        self.channel = self._layout.channel
        """The pane of the channel."""
        self.thread = self._layout.thread
        """The pane of the thread; it is not displayed while no thread is open."""
        self._keys = tuple(keys)
        self._joins = settings.joins
        sink = ScreenNotifier(self, settings.notify, settings.notify_command)
        self._notifier = Notifier(sink, cores)
        self.workspace = Workspace(cores, self._converse)
        self.workspace.take()
        self._actions = MessageActions(self, self.workspace)
        self._ways = Navigation(self._layout, self.workspace)

    def _converse(self, server_key: int, settings: ClientSettings, core: Core) -> Conversation:
        return Conversation(
            core,
            ScreenView(self, self._layout, server_key, self.workspace, self._keys),
            settings.name,
            typing=settings.typing,
            server_key=server_key,
            workspace=self.workspace,
            notifier=self._notifier,
            commands=HANDLERS,
        )

    @property
    def conversation(self) -> Conversation:
        """The current conversation."""
        return self.workspace.front.conversation

    @property
    def pane(self) -> ConversationPane:
        """The pane for typed text: the thread's while it has the focus, else the channel's."""
        return self.thread if self.thread.has_focus_within else self.channel

    def compose(self) -> ComposeResult:
        """Lay out the widgets."""
        yield from self._layout.compose()

    def on_mount(self) -> None:
        """Focus the composer; until a channel is open, its text belongs to the shown server."""
        for pane in (self.channel, self.thread):
            pane.composer.sources, pane.composer.look_up = self._sources, self.workspace.look_up
        self.channel.composer.load("", Subject(self.conversation.drafts, PaneKey("")))
        self.channel.composer.focus()
        self.channel.timeline.joins = self._joins
        self.watch(self.channel.timeline, "below", self._show_below)
        self.watch(self.app, "app_focus", self._look)
        self.set_interval(0.5, self._count_down)
        self.screen_layout_refresh_signal.subscribe(self, self._make_room, immediate=True)
        self._notifier.resume(lambda: self.conversation.view.redraw())
        self.conversation.view.redraw()
        self.workspace.take_in()  # the stored state, for the first paint
        self.call_after_refresh(self._layout.add_thread)

    def _sources(self) -> Sources:
        """Return the sources of completion, computed only while the user types."""
        themes = tuple(short_names(self.app.available_themes))
        return replace(self.workspace.sources(), themes=themes, languages=LANGUAGES)

    def update_node_styles(self, animate: bool = True) -> None:
        """Restyle all widgets, except the first time, directly after they were mounted.

        Textual's first call is redundant, and took a tenth of the start-up time.
        """
        if self._is_styled:
            super().update_node_styles(animate)
        self._is_styled = True

    def _screen_resized(self, size: Size) -> None:
        """Lay out for the terminal's current size, not for that of a late event.

        Each layout reports its size to the screen: while nothing is painted (at the start and the
        end), two sizes would alternate forever.
        """
        super()._screen_resized(self.app.size)

    def on_resize(self) -> None:
        """Hide the sidebar and the member list in a narrow terminal."""
        self._layout.fit(self.size.width)

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self.conversation.view.redraw()

    @on(Selected)
    def _selected(self, event: Selected) -> None:
        """Keep at most one selected message, in the channel or in the thread."""
        if event.message is not None:
            for timeline in self.query(Timeline):
                if timeline is not event.timeline:
                    timeline.action_leave()
        self.conversation.view.redraw()

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _look(self) -> None:
        """Mark visible messages as read only with the focus and no dialog open."""
        self.conversation.reading.watched(self.app.app_focus and self.app.screen is self)

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _hide_cursor(self) -> None:
        """Hide the composer's cursor under a dialog, which has a cursor of its own."""
        for area in self.query(Area):
            area.show_cursor = self.app.screen is self

    def on_mouse_down(self) -> None:
        """Focus the composer, so that letters typed after a click are text."""
        if isinstance(self.focused, Timeline):
            self.set_focus(self.pane.composer)

    def on_key(self, event: events.Key) -> None:
        """Type an unused letter into the composer.

        Letters typed before the composer got the focus bubble to the screen.
        """
        if event.is_printable and event.key not in self.active_bindings:
            event.stop()
            self._type(event)

    @on(LettersTyped)
    def _letters(self, event: LettersTyped) -> None:
        self._type(*event.keys)

    def _type(self, *keys: events.Key) -> None:
        pane = self.pane
        pane.write()
        for key in keys:
            pane.composer.type(key)

    def on_paste(self, event: events.Paste) -> None:
        """Paste into the composer if no focused widget took the text."""
        event.stop()
        pane = self.pane
        pane.write()
        pane.composer.take_paste(sendable(event.text))

    def _make_room(self, _: Screen[None]) -> None:
        """Move the conversation above notifications."""
        racks = (child for child in self.children if isinstance(child, ToastRack))
        rows = sum(toast.region.height for rack in racks for toast in rack.query(Toast))
        self._layout.make_room(min(rows, self.size.height // 2))

    def _show_below(self, below: int | None) -> None:
        self._layout.typing.below = below

    def _count_down(self) -> None:
        self._layout.status.remaining = self.conversation.state.retry_in

    # Actions of keys and of the switcher.

    def begin_command(self, text: str) -> None:
        """Start a slash command in the composer, for the user to complete."""
        self.pane.composer.put_first(text)

    def action_switch(self) -> None:
        """Open the switcher for channels, people and commands."""
        switch(self, Switcher(self.workspace, self.begin_command, keys_of_commands(self._keys)))

    def action_unread(self) -> None:
        """Go to the next unread channel."""
        self.workspace.go_to_next_unread()

    def action_go(self, step: int) -> None:
        """Go to the next or the previous channel."""
        self.workspace.go(step)

    def action_find(self, name: str) -> None:
        """Run a navigation command: back, forward, unread, mention, and others."""
        self._ways.find(name)

    def action_go_to(self, number: int) -> None:
        """Go to the channel at a position in the sidebar."""
        self.workspace.go_to(number)

    def action_toggle_pane(self, pane: Pane) -> None:
        """Show or hide the sidebar or the member list."""
        self._layout.toggle(pane)

    def action_focus_timeline(self) -> None:
        """Select a message."""
        self.pane.choose_message()

    def action_write(self) -> None:
        """Focus the composer, unless it has the focus and handles Escape itself."""
        pane = self.pane
        if pane.composer.has_focus and pane.timeline.cursor is None:
            raise SkipAction
        pane.write()

    def action_bottom(self) -> None:
        """Show the newest message."""
        self.pane.timeline.jump_to_bottom()

    def bare_lines(self, width: int, height: int) -> list[str]:
        """Return the visible and earlier messages as plain lines, as many as fit."""
        return copy_lines(self.channel.timeline.back_from_here(), width, height)

    # Messages of the widgets.

    @on(Composer.Dismissed)
    def _dismissed(self, event: Composer.Dismissed) -> None:
        self.conversation.dismiss(event.key)

    @on(Composer.Pasted)
    def _pasted(self, event: Composer.Pasted) -> None:
        """Ask before a large paste."""
        composer, text = self.pane.composer, event.text
        confirm_paste(self, text, lambda: composer.take_paste(text, is_meant=True))

    @on(Composer.ModeChanged)
    def _mode_changed(self, event: Composer.ModeChanged) -> None:
        self._layout.status.mode = event.mode

    @on(Sidebar.ChannelChosen)
    def _channel_chosen(self, event: Sidebar.ChannelChosen) -> None:
        self.workspace.open(event.location)

    @on(Sidebar.InvitationChosen)
    def _invitation_chosen(self, event: Sidebar.InvitationChosen) -> None:
        """Accept or decline an invitation, or open its menu."""
        self.workspace.open(Location(event.location.server, ""))
        if event.act:
            self.conversation.run_command(f"/{event.act} {event.location.channel}")
        else:
            open_invitation(self.conversation, event.location.channel)

    @on(ThreadHeader.FollowToggled)
    def _follow_toggled(self, event: ThreadHeader.FollowToggled) -> None:
        if (thread := self.conversation.state.thread) is not None:
            verb = "unfollow" if event.is_followed else "follow"
            self.conversation.run_command(f"/{verb} {thread.root}")

    @on(MemberList.MemberChosen)
    def _member_chosen(self, event: MemberList.MemberChosen) -> None:
        open_menu(self.conversation, event.name)

    @on(OlderWanted)
    @on(GapWanted)
    def _load(self, event: OlderWanted | GapWanted) -> None:
        """Load older or missing messages; a thread is loaded from its end."""
        core, channel = self.conversation.core, self.conversation.state.current
        if event.thread is not None:
            core.load_thread()
        elif channel and isinstance(event, GapWanted):
            core.load_gap(channel, event.seq)
        elif channel:
            core.load_before(channel)

    @on(Seen)
    def _seen(self, event: Seen) -> None:
        """Mark visible messages of the channel, or of the open thread, as read."""
        # Use the current seq: the event may stem from another channel.
        seq, channel = self.channel.timeline.seen, self.conversation.state.current
        if event.thread is None and seq is not None and channel is not None:
            self.conversation.reading.seen(channel, seq)
        elif event.thread is not None and channel is not None:
            key = PaneKey(channel, event.thread)
            self.conversation.reading.thread_seen(key, event.seq)

    @on(LinkClicked)
    def _link(self, event: LinkClicked) -> None:
        self.conversation.view.open_links([event.url])

    @on(ReactionClicked)
    def _reaction(self, event: ReactionClicked) -> None:
        self._actions.toggle_reaction(event.message, event.emoji)

    @on(ActionRequested)
    def _asked(self, event: ActionRequested) -> None:
        """Run the action that a key, a message or the message bar requested."""
        (self.channel if event.thread is None else self.thread).write()
        self._actions.run(event.name, event.message, event.thread)
