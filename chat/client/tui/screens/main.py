"""The main screen: lists at the sides, the timeline, and the composer.

It turns its widgets' messages into calls of the `Conversation`, and shows that one's state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

from chat.client.config.settings import ClientSettings
from chat.client.presenter import commands, conversation
from chat.client.presenter.commands import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.draft import DraftKey
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.view import Pane
from chat.client.presenter.workspace import Cores, Workspace
from chat.client.sync.core import Core
from chat.client.tui.composer.completion import CompletionPopup
from chat.client.tui.composer.messages import Subject
from chat.client.tui.composer.widget import Composer
from chat.client.tui.keymap import MAIN_KEYS, KeyRow
from chat.client.tui.safe_text import sendable
from chat.client.tui.screens.copy_mode import copy_lines
from chat.client.tui.screens.main_view import Panes, ScreenNotifier, ScreenView
from chat.client.tui.screens.message_actions import MessageActions
from chat.client.tui.screens.picker import pick_anything
from chat.client.tui.screens.thread_pane import ThreadPane
from chat.client.tui.screens.writing import Writing
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.messages import (
    ActionRequested,
    GapWanted,
    LinkClicked,
    OlderWanted,
    ReactionClicked,
    Seen,
    Selected,
)
from chat.client.tui.widgets.bars import (
    ActivityBar,
    Banner,
    ChannelHeader,
    ContextBar,
    MessageBar,
    StatusBar,
    TypingLine,
    actions_of,
)
from chat.client.tui.widgets.empty_state import EmptyState
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.preview import Preview
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["CSS", "MainScreen", "Navigation", "lay_out"]


CSS = """
MainScreen {
    & #body { height: 1fr; }
    & #work { width: 1fr; layout: horizontal; }
    & #work.-stacked { layout: vertical; }
    & #middle { width: 1fr; height: 1fr; }
    & #stage { height: 1fr; layers: base popup; layout: vertical; }
    & #writing { height: auto; background: $surface; }
    & #prompt {
        width: 2;
        padding-left: 1;
        color: $foreground 40%;
        text-style: bold;
    }
    /* Textual only looks after what has a rule of its own for this. */
    & #writing:focus-within { background: $surface; }
    & #writing:focus-within #prompt { color: $text-primary; }
    & #writing Composer { width: 1fr; }
    & Timeline { height: 1fr; }
}
"""


def lay_out(thread: ThreadPane, keys: Sequence[KeyRow]) -> ComposeResult:
    """Lay out the widgets, with the side that shows a thread."""
    with Horizontal(id="body"):
        yield Sidebar(id="sidebar")
        with Container(id="work"):
            with Vertical(id="middle"):
                yield ChannelHeader(id="header")
                yield Banner(id="banner")
                with Container(id="stage"):
                    yield EmptyState(id="empty")
                    yield Timeline(id="timeline")
                    yield TypingLine(id="typing")
                    yield CompletionPopup(id="popup")
                yield Preview(id="preview")
                yield ContextBar(id="context")
                with Horizontal(id="writing"):
                    yield Static("›", id="prompt", markup=False)
                    yield Composer(id="composer")
            yield thread
        yield MemberList(id="members")
    yield ActivityBar(id="activity")
    yield MessageBar(actions_of(keys), id="actions")
    yield StatusBar(id="status")


class Navigation:
    """Finds what is called `name` in the conversations on `screen`, and goes there."""

    def __init__(self, screen: Screen[Any], seats: Workspace) -> None:
        self._screen = screen
        self._seats = seats
        self._by_name: dict[str, Callable[[], None]] = {
            "back": partial(seats.go_along, -1),
            "forward": partial(seats.go_along, 1),
            "last": seats.go_to_last,
            "first_unread": lambda: conversation.show_unread(self._conversation),
            "inbox": seats.show_inbox,
            "search": lambda: conversation.search(self._conversation),
            "up": partial(self._move, -1),
            "down": partial(self._move, 1),
            "peek": self._peek,
            "mention_before": partial(self._mention, -1),
            "mention_after": partial(self._mention, 1),
            "thread": self._thread,
        }

    def find(self, name: str) -> None:
        """Go where `name` leads."""
        self._by_name[name]()

    @property
    def _conversation(self) -> Conversation:
        return self._seats.front.conversation

    def _peek(self) -> None:
        if channel := self._conversation.desk.current:
            conversation.peek(self._conversation, channel)

    def _move(self, step: int) -> None:
        if info := self._conversation.desk.info:
            with self._conversation.telling():
                commands.move(self._conversation, info, step)

    def _thread(self) -> None:
        """Go between the open thread and its channel; open that of the chosen message."""
        side, timeline = self._screen.query_one(ThreadPane), self._screen.query_one(Timeline)
        chosen = timeline.cursor
        if side.display:
            beyond = not side.has_focus_within
            self._screen.set_focus(side.composer if beyond else self._screen.query_one(Composer))
        elif chosen is not None and chosen.seq is not None:
            self._conversation.threads.show(chosen.channel, chosen.seq)
        else:
            self._conversation.view.say("No thread is open. With t on a message its thread opens.")

    def _mention(self, step: int) -> None:
        """Go to the nearest mention here, then to those that are loaded of other channels."""
        seq = self._screen.query_one(Timeline).mention(step)
        if seq is not None:
            self._conversation.view.choose(seq)
        else:
            self._seats.go_to_mention(step)


class MainScreen(Screen[None]):
    """The conversation."""

    DEFAULT_CSS = CSS

    BINDINGS: ClassVar[list[BindingType]] = MAIN_KEYS

    def __init__(self, cores: Cores, settings: ClientSettings, keys: Sequence[KeyRow]) -> None:
        super().__init__()
        self._is_styled = False
        self._panes = Panes(self)
        self._keys = tuple(keys)
        self._joins = settings.joins
        self._has_vi = settings.editing == "vi"
        caller = ScreenNotifier(self, settings.notify, settings.notify_command)
        self._calling = Notifier(caller, cores)
        self.seats = Workspace(cores, self._converse)
        self.seats.take()
        self._actions = MessageActions(self, self.seats)
        self._writing = Writing(self, self.seats)
        self._ways = Navigation(self, self.seats)

    def _converse(self, seat: int, settings: ClientSettings, core: Core) -> Conversation:
        return Conversation(
            core,
            ScreenView(self, seat, self.seats, self._panes, self._keys),
            settings.name,
            typing=settings.typing,
            seat=seat,
            seats=self.seats,
            calling=self._calling,
            commands=HANDLERS,
        )

    @property
    def conversation(self) -> Conversation:
        """The conversation in front."""
        return self.seats.front.conversation

    def compose(self) -> ComposeResult:
        """Lay out the widgets."""
        thread = ThreadPane(self.seats, self._actions, has_vi=self._has_vi, id="thread")
        yield from lay_out(thread, self._keys)

    def on_mount(self) -> None:
        """Begin with the composer; before a channel is open its text is for who is in front."""
        self._composer.load("", Subject(self.seats.here.seat, DraftKey("")))
        self._composer.focus()
        self._timeline.joins = self._joins
        if self._has_vi:
            self._composer.edit_as_in_vi()
        self.watch(self._timeline, "below", self._show_below)
        self.watch(self.app, "app_focus", self._look)
        self.set_interval(0.5, self._count_down)
        self._calling.resume(lambda: self.conversation.redraw())
        self.conversation.redraw()
        self.take_in()  # what is on disk: the first paint shows it

    def update_node_styles(self, animate: bool = True) -> None:
        """Style all widgets anew; but not when the screen comes up, just after they were mounted.

        Textual would, and of a start that was every tenth millisecond.
        """
        if self._is_styled:
            super().update_node_styles(animate)
        self._is_styled = True

    def _screen_resized(self, size: Size) -> None:
        """Lay out for the size that the terminal has now, not for one that is told late.

        Each layout tells its size to the screen: while nothing is painted (at the start, at the
        end), two sizes would call each other back for ever.
        """
        super()._screen_resized(self.app.size)

    def take_in(self) -> None:
        """Show what the cores told."""
        self.seats.take_in()

    @on(events.Resize)
    @on(ThreadPane.Toggled)
    def _fit(self) -> None:
        """Let the lists at the sides step aside where it is narrow."""
        self._panes.fit()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self.conversation.redraw()

    @on(Selected)
    def _selected(self, event: Selected) -> None:
        """Have one message chosen at most: in the channel, or in the thread."""
        if event.message is not None:
            for timeline in self.query(Timeline):
                if timeline is not event.timeline:
                    timeline.action_leave()
        self.conversation.redraw()

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _look(self) -> None:
        """What shows is read while the terminal has the focus, and nothing lies over it."""
        self.conversation.reading.watched(self.app.app_focus and self.app.screen is self)

    def on_mouse_down(self) -> None:
        """Let no letter act on a message once the mouse is used: it may be meant as text."""
        if isinstance(self.focused, Timeline):
            side = self.query_one(ThreadPane)
            self.set_focus(side.composer if side.has_focus_within else self._composer)

    def on_click(self, event: events.Click) -> None:
        """Write in the channel after a click on its messages."""
        clicked, _ = self.get_widget_at(*event.screen_offset)
        if clicked is self._timeline:
            self.set_focus(self._composer)

    def on_key(self, event: events.Key) -> None:
        """Write on, with a letter that nothing here has a use for.

        The composer takes its own letters; those that were typed before it got the focus end here.
        """
        if event.is_printable and event.key not in self.active_bindings:
            event.stop()
            self._write()
            self._composer.type(event)

    def on_paste(self, event: events.Paste) -> None:
        """Write what was pasted where nothing had a use for it."""
        event.stop()
        self._write()
        self._composer.take_paste(sendable(event.text))

    def _show_below(self, below: int) -> None:
        self.query_one(TypingLine).below = below

    def _count_down(self) -> None:
        self.query_one(StatusBar).remaining = self.conversation.desk.retry_in

    # What is done with keys, and in the command palette.

    def run_command(self, text: str) -> None:
        """Run a slash command."""
        self.conversation.run_command(text)

    def begin_command(self, text: str) -> None:
        """Let the person write what a slash command still needs."""
        self._composer.give_back(text)

    def action_switch(self) -> None:
        """Choose a channel, a person or a command by a few letters."""
        pick_anything(self, self.seats, self.begin_command)

    def action_unread(self) -> None:
        """Go where somebody waits."""
        self.seats.go_where_it_matters()

    def action_go(self, step: int) -> None:
        """Go to the next or the previous channel."""
        self.seats.go(step)

    def action_find(self, name: str) -> None:
        """Go back, forward, to what is unread, to a mention."""
        self._ways.find(name)

    def action_go_to(self, number: int) -> None:
        """Go to the channel at a place of the list."""
        self.seats.go_to(number)

    def action_toggle_pane(self, pane: Pane) -> None:
        """Show a list at the side, or hide it."""
        self._panes.toggle(pane)

    def action_focus_timeline(self) -> None:
        """Choose a message."""
        self._timeline.focus()
        if self._timeline.cursor is None:
            self._timeline.action_cursor(-1)

    def action_write(self) -> None:
        """Leave the timeline for the composer, which knows its own way with Escape."""
        is_writing = self._composer.has_focus and self._timeline.cursor is None
        if is_writing or self.query_one(ThreadPane).has_focus_within:
            raise SkipAction
        self._write()

    def _write(self) -> None:
        self._timeline.action_leave()
        self.set_focus(self._composer)  # now: `focus()` would come after keys that wait already

    def action_bottom(self) -> None:
        """Show the newest message."""
        self._timeline.jump_to_bottom()

    def bare_lines(self, width: int, height: int) -> list[str]:
        """Return what shows as bare text, and what stands before it as far as there is room."""
        return copy_lines(self._timeline.back_from_here(), width, height)

    # What the widgets tell.

    @on(Composer.Submitted)
    def _submitted(self, event: Composer.Submitted) -> None:
        if seat := self.seats.at(event.subject.seat):
            seat.conversation.submit(event.text, event.subject.key)

    @on(Composer.Drafted)
    def _drafted(self, event: Composer.Drafted) -> None:
        if seat := self.seats.at(event.subject.seat):
            seat.conversation.drafts.keep(event.text, event.subject.key)

    @on(Composer.Typing)
    def _typing(self, event: Composer.Typing) -> None:
        if seat := self.seats.at(event.subject.seat):
            seat.conversation.drafts.typing(event.active, event.subject.key)

    @on(Composer.Offered)
    def _offered(self, event: Composer.Offered) -> None:
        self.query_one(CompletionPopup).show(event.completion, event.index)

    @on(CompletionPopup.OfferChosen)
    def _offer_chosen(self, event: CompletionPopup.OfferChosen) -> None:
        self._composer.accept(event.index)

    @on(Composer.Dismissed)
    @on(ContextBar.Dismissed)
    def _dismissed(self) -> None:
        self.conversation.dismiss(self._composer.subject.key)

    @on(Composer.EditLastWanted)
    def _edit_last(self) -> None:
        self.conversation.drafts.edit_last(self._composer.subject.key)

    @on(Composer.Pasted)
    def _pasted(self, event: Composer.Pasted) -> None:
        self._writing.ask_paste(event.text)

    @on(Composer.EditorWanted)
    def _edit_outside(self) -> None:
        self._writing.edit_outside()

    @on(Composer.PreviewToggled)
    def _toggle_preview(self) -> None:
        self._writing.toggle_preview()

    @on(Composer.ModeChanged)
    def _mode_changed(self, event: Composer.ModeChanged) -> None:
        self.query_one(StatusBar).mode = event.mode

    @on(Composer.Rewritten)
    def _rewritten(self, event: Composer.Rewritten) -> None:
        if event.is_typed:
            self._timeline.action_leave()
        self._writing.show_preview()

    @on(Composer.ScrollWanted)
    def _scroll(self, event: Composer.ScrollWanted) -> None:
        self._timeline.action_page(event.pages)

    @on(Sidebar.ChannelChosen)
    def _channel_chosen(self, event: Sidebar.ChannelChosen) -> None:
        self.seats.open(event.spot)

    @on(MemberList.MemberChosen)
    def _member_chosen(self, event: MemberList.MemberChosen) -> None:
        self.conversation.write_to(event.name)

    @on(OlderWanted)
    def _older(self) -> None:
        if channel := self.conversation.desk.current:
            self.conversation.core.load_before(channel)

    @on(GapWanted)
    def _gap(self, event: GapWanted) -> None:
        if channel := self.conversation.desk.current:
            self.conversation.core.load_gap(channel, event.seq)

    @on(Seen)
    def _seen(self) -> None:
        # What shows now, not what did when this was sent: that may have been another channel.
        seq, channel = self._timeline.seen, self.conversation.desk.current
        if seq is not None and channel is not None:
            self.conversation.seen(channel, seq)

    @on(LinkClicked)
    def _link(self, event: LinkClicked) -> None:
        self.conversation.view.open_links([event.url])

    @on(ReactionClicked)
    def _reaction(self, event: ReactionClicked) -> None:
        self._actions.toggle_reaction(event.message, event.emoji)

    @on(ActionRequested)
    def _asked(self, event: ActionRequested) -> None:
        """Do what a key, a word of a message or one of the bar asks for."""
        side = self.query_one(ThreadPane)
        if side.chosen is not None and event.message == side.chosen:  # it came from the bar
            side.act(event.name, event.message)
            return
        self._write()
        self._actions.run(event.name, event.message)

    @property
    def _composer(self) -> Composer:
        return self.query_one(Composer)

    @property
    def _timeline(self) -> Timeline:
        return self.query_one(Timeline)
