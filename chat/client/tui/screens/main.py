"""The screen of the conversation: lists at the sides, the timeline, and the composer under it.

It lays out the widgets, turns their messages into calls of the `Conversation`, and shows what that
has on its desk.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import monotonic
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import Static

from chat.client.state import ConnectionChanged, TimelineChanged, Update
from chat.client.tui.choice import Choice
from chat.client.tui.conversation import Conversation
from chat.client.tui.handlers import Pane, Refused, Severity
from chat.client.tui.keys import KeyRow
from chat.client.tui.listings import AddRows
from chat.client.tui.message_actions import MessageActions
from chat.client.tui.port import CorePort
from chat.client.tui.screens.dialogs import pick, pick_channel
from chat.client.tui.screens.drawing import draw, window_title
from chat.client.tui.screens.help import HelpScreen
from chat.client.tui.themes import by_name
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.bars import Banner, ChannelHeader, ContextBar, StatusBar, TypingLine
from chat.client.tui.widgets.completion_popup import CompletionPopup
from chat.client.tui.widgets.composer import Composer
from chat.client.tui.widgets.empty_state import EmptyState
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["MainScreen"]

_SIDEBAR_FROM, _MEMBERS_FROM = 70, 100
_HINTS = {"channel.switch": "switch", "channel.unread": "next unread", "help": "help"}


class MainScreen(Screen[None]):
    """The conversation."""

    DEFAULT_CSS = """
    MainScreen {
        & #body { height: 1fr; }
        & #middle { width: 1fr; }
        & #stage { height: 1fr; layers: base popup; layout: vertical; }
        & #writing { height: auto; background: $surface; }
        & #prompt {
            width: 2;
            padding-left: 1;
            color: $text-primary;
            text-style: bold;
        }
        & #writing Composer { width: 1fr; }
        & Timeline { height: 1fr; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+k", "switch", "Switch", show=False, id="channel.switch"),
        Binding("alt+a,ctrl+n", "unread", "Next unread", show=False, id="channel.unread"),
        Binding("alt+down", "go(1)", "Next channel", show=False, id="channel.next"),
        Binding("alt+up", "go(-1)", "Previous channel", show=False, id="channel.previous"),
        Binding("alt+left", "go_back", "Last channel", show=False, id="channel.back"),
        Binding("ctrl+up", "focus_timeline", "Choose a message", show=False, id="timeline.focus"),
        Binding("ctrl+end", "bottom", "To the newest message", show=False, id="timeline.bottom"),
        Binding("f2", "toggle_pane('sidebar')", "Channel list", show=False, id="pane.sidebar"),
        Binding("f3", "toggle_pane('members')", "Member list", show=False, id="pane.members"),
        Binding("escape", "focus_composer", "Write", show=False),
    ]

    shows_sidebar: var[bool | None] = var(None, init=False)
    """Whether the channel list is shown; None: if there is room."""
    shows_members: var[bool | None] = var(None, init=False)
    """Whether the member list is shown; None: if there is room."""

    def __init__(self, core: CorePort, keys: Sequence[KeyRow]) -> None:
        super().__init__()
        self.conversation = Conversation(core, self)
        self._actions = MessageActions(self, self.conversation)
        self._keys = tuple(keys)
        self._hints = tuple((row.keys[0], _HINTS[row.id]) for row in keys if row.id in _HINTS)
        self._anchor: object = None
        self._anchors: dict[str, object] = {}
        self._retry_at: float | None = None
        self._opened: str | None = None

    def compose(self) -> ComposeResult:
        """Lay out the widgets."""
        with Horizontal(id="body"):
            yield Sidebar(id="sidebar")
            with Vertical(id="middle"):
                yield ChannelHeader(id="header")
                yield Banner(id="banner")
                with Container(id="stage"):
                    yield EmptyState(id="empty")
                    yield Timeline(id="timeline")
                    yield TypingLine(id="typing")
                    yield CompletionPopup(id="popup")
                yield ContextBar(id="context")
                with Horizontal(id="writing"):
                    yield Static("›", id="prompt", markup=False)
                    yield Composer(id="composer")
            yield MemberList(id="members")
        yield StatusBar(id="status")

    def on_mount(self) -> None:
        """Begin with the composer."""
        self._composer.focus()
        self.set_interval(0.5, self._count_down)
        self.redraw()

    def take_in(self, updates: Iterable[Update]) -> None:
        """Show what the core told."""
        for update in updates:
            if isinstance(update, ConnectionChanged):
                wait = update.retry_in
                self._retry_at = None if wait is None else monotonic() + wait
                self.query_one(Banner).show(update)
                self._count_down()
        self.conversation.take_in(updates)

    # What the conversation asks of the screen: its `View`.

    def composed(self) -> str:
        """Return the text in the composer."""
        return self._composer.text

    def compose_with(self, text: str, channel: str) -> None:
        """Put a text into the composer, for that channel."""
        self._composer.load(text, channel)

    def give_back(self, text: str) -> None:
        """Put a text that was not sent back into the composer."""
        self._composer.give_back(text)

    def show_timeline(self, channel: str) -> None:
        """Show a channel's timeline, where it was left."""
        timeline = self._timeline
        if self._opened is not None:
            self._anchors[self._opened] = timeline.anchor()
        self._opened = channel
        desk = self.conversation.desk
        timeline.show(channel, desk.user, read=desk.info.read if desk.info else 0)

    def update_timeline(self, change: TimelineChanged) -> None:
        """Bring the timeline up to date; the first page of a channel puts it where it was left."""
        self._timeline.apply(change)
        if change.reset and change.channel in self._anchors:
            self._timeline.restore(self._anchors.pop(change.channel))

    def redraw(self) -> None:
        """Show what lies on the desk; every widget draws only what is new to it."""
        if not self.is_mounted:
            return
        draw(self, self.conversation)
        self.query_one(StatusBar).hints = self._hints
        self.app.title = window_title(self.conversation)

    def alert(self) -> None:
        """Ring for a person who looks elsewhere."""
        self.app.bell()

    def run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Run something that waits, beside everything else."""
        self.run_worker(work)

    def list_rows(self, title: str, then: Callable[[str], None]) -> AddRows:
        """Open a list to choose from; it fills as the server answers."""
        return pick(self, title, [], then).add

    def set_theme(self, name: str) -> None:
        """Change the colours; without a name, let the person choose."""
        themes = sorted(self.app.available_themes)
        wanted = by_name(name)
        if not name:
            pick(self, "Colours", [Choice(theme, theme) for theme in themes], self.set_theme)
        elif wanted in themes:
            self.app.theme = wanted
        else:
            raise Refused(f"There is no theme “{name}”. /theme shows them all.")

    def toggle(self, pane: Pane) -> None:
        """Show a list at the side, or hide it."""
        if pane == "sidebar":
            self.shows_sidebar = not self.query_one(Sidebar).display
        else:
            self.shows_members = not self.query_one(MemberList).display

    def show_help(self) -> None:
        """Show all keys and commands."""
        self.app.push_screen(HelpScreen(self._keys))

    def quit(self) -> None:
        """End the program."""
        self.app.exit()

    def say(self, text: str, severity: Severity = "information") -> None:
        """Tell the person something, briefly."""
        self.app.notify(text, severity=severity, markup=False)

    # Panes, which step aside where it is narrow.

    def on_resize(self) -> None:
        """Fit the panes to the width."""
        self._fit()

    def watch_shows_sidebar(self) -> None:
        """Fit the panes."""
        self._fit()

    def watch_shows_members(self) -> None:
        """Fit the panes."""
        self._fit()

    def _fit(self) -> None:
        width = self.size.width
        sidebar, members = self.shows_sidebar, self.shows_members
        self.query_one(Sidebar).display = width >= _SIDEBAR_FROM if sidebar is None else sidebar
        self.query_one(MemberList).display = width >= _MEMBERS_FROM if members is None else members

    def _count_down(self) -> None:
        left = 0.0 if self._retry_at is None else max(self._retry_at - monotonic(), 0.0)
        self.query_one(StatusBar).remaining = left

    # What is done with keys, and in the command palette.

    def run_command(self, text: str) -> None:
        """Run a slash command."""
        self.conversation.submit(text, self.conversation.desk.current or "")

    def begin_command(self, text: str) -> None:
        """Let the person write what a slash command still needs."""
        self._composer.give_back(text)

    def action_switch(self) -> None:
        """Choose a channel by a few letters."""
        pick_channel(self, self.conversation.desk, self.conversation.open_channel)

    def action_unread(self) -> None:
        """Go where somebody waits."""
        self.conversation.go_where_it_matters()

    def action_go(self, step: int) -> None:
        """Go to the next or the previous channel."""
        self.conversation.go(step)

    def action_go_back(self) -> None:
        """Go to the channel that was shown before."""
        self.conversation.go_back()

    def action_toggle_pane(self, pane: Pane) -> None:
        """Show a list at the side, or hide it."""
        self.toggle(pane)

    def action_focus_timeline(self) -> None:
        """Choose a message."""
        self._timeline.focus()

    def action_focus_composer(self) -> None:
        """Write."""
        self._composer.focus()

    def action_bottom(self) -> None:
        """Show the newest message."""
        self._timeline.jump_to_bottom()

    # What the widgets tell.

    @on(Composer.Submitted)
    def _submitted(self, event: Composer.Submitted) -> None:
        self.conversation.submit(event.text, event.subject)

    @on(Composer.Drafted)
    def _drafted(self, event: Composer.Drafted) -> None:
        self.conversation.drafted(event.text, event.subject)

    @on(Composer.Typing)
    def _typing(self, event: Composer.Typing) -> None:
        self.conversation.typing(event.active, event.subject)

    @on(Composer.Offered)
    def _offered(self, event: Composer.Offered) -> None:
        self.query_one(CompletionPopup).show(event.completion, event.index)

    @on(CompletionPopup.OfferChosen)
    def _offer_chosen(self, event: CompletionPopup.OfferChosen) -> None:
        self._composer.accept(event.index)

    @on(Composer.Dismissed)
    @on(ContextBar.Dismissed)
    def _dismissed(self) -> None:
        self.conversation.give_up()

    @on(Composer.EditLastWanted)
    def _edit_last(self) -> None:
        self.conversation.edit_last()

    @on(Composer.ScrollWanted)
    def _scroll(self, event: Composer.ScrollWanted) -> None:
        if event.pages < 0:
            self._timeline.scroll_page_up(animate=False)
        else:
            self._timeline.scroll_page_down(animate=False)

    @on(Sidebar.ChannelChosen)
    def _channel_chosen(self, event: Sidebar.ChannelChosen) -> None:
        self.conversation.open_channel(event.channel)

    @on(MemberList.MemberChosen)
    def _member_chosen(self, event: MemberList.MemberChosen) -> None:
        self.conversation.write_to(event.name)

    @on(Timeline.OlderWanted)
    def _older(self) -> None:
        if channel := self.conversation.desk.current:
            self.conversation.core.load_before(channel)

    @on(Timeline.GapWanted)
    def _gap(self, event: Timeline.GapWanted) -> None:
        if channel := self.conversation.desk.current:
            self.conversation.core.load_gap(channel, event.seq)

    @on(Timeline.Seen)
    def _seen(self, event: Timeline.Seen) -> None:
        if channel := self.conversation.desk.current:
            self.conversation.seen(channel, event.seq)

    @on(Timeline.LinkClicked)
    def _link(self, event: Timeline.LinkClicked) -> None:
        self._actions.open_link(event.url)

    @on(Timeline.ActionRequested)
    def _asked(self, event: Timeline.ActionRequested) -> None:
        self._actions.run(event.name, event.message)

    @property
    def _composer(self) -> Composer:
        return self.query_one(Composer)

    @property
    def _timeline(self) -> Timeline:
        return self.query_one(Timeline)
