"""The main screen as the presenter's `View`, and its notifications.

Dialogs are imported when they are opened.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from textual.message import Message as TextualMessage
from textual.screen import Screen

from chat.client.model.notifications import Notification, Way
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.slash.commands import Command
from chat.client.model.state import ConnectionChanged, Update
from chat.client.platform.desktop import can_open, notification_sequence, run_command
from chat.client.presenter.composer.draft import join_texts
from chat.client.presenter.log import Log, Splices
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState, title_of
from chat.client.presenter.view import AddRows, Choice, Pane, Question, Refused, Severity
from chat.client.presenter.workspace import Workspace
from chat.client.sync.inbox import Unread
from chat.client.tui.composer.messages import Subject
from chat.client.tui.keymap import KeyRow
from chat.client.tui.screens.layout import Layout
from chat.client.tui.screens.picker import Picker, ask, pick, pick_link, pick_sign_in
from chat.client.tui.screens.secrets import AskSecret, ShowSecret
from chat.client.tui.themes import by_name, short_names
from chat.client.tui.timeline import Place, Timeline
from chat.client.tui.widgets.conversation_pane import ConversationPane
from chat.links import is_web_link
from chat.text import channel_title

__all__ = ["Rang", "ScreenNotifier", "ScreenView", "ThemeChosen"]


@dataclass
class Rang(TextualMessage):
    """A notification needs `sequence` to be written to the terminal unchanged."""

    sequence: str


@dataclass
class ThemeChosen(TextualMessage):
    """The user chose a theme, which should be saved."""

    name: str


class ScreenNotifier:
    """The `NotificationSink` of `screen`."""

    def __init__(self, screen: Screen[Any], way: Way, command: Sequence[str]) -> None:
        self._screen = screen
        self._way = way
        self._command = tuple(command)
        self._has_reported_failure = False
        """Whether a failure of the user's command was reported."""

    def notify(self, notification: Notification) -> None:
        """Show a notification."""
        if self._way == "command":
            self.run_in_background(self._run(notification))
        elif data := notification_sequence(self._way, notification):
            self._screen.app.post_message(Rang(data))

    async def _run(self, notification: Notification) -> None:
        fault = await run_command(self._command, notification)
        if fault and not self._has_reported_failure:
            self._has_reported_failure = True
            self._screen.app.notify(fault, severity="warning", markup=False)

    def run_in_background(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a background task."""
        self._screen.run_worker(work)


_PAUSE = 0.8
"""Seconds without a key before an unrequested dialog may open."""
_LOOK_EVERY = 0.1


class ScreenView:
    """The `View` of a server's conversation on `screen`; see `View` for the contract.

    While another conversation is current, the composer's text is kept here.
    """

    def __init__(
        self,
        screen: Screen[Any],
        layout: Layout,
        server_key: int,
        workspace: Workspace,
        keys: Sequence[KeyRow],
    ) -> None:
        self._screen = screen
        self._server_key = server_key
        self._workspace = workspace
        self._aside: str | None = ""
        self._layout = layout
        self._keys = tuple(keys)
        self._places: dict[str, Place | None] = {}
        self._opened: str | None = None
        self._is_asking = False
        """Whether the dialog to sign in waits for a pause in typing."""

    def step_back(self) -> None:
        """Yield the screen to another conversation; save the scroll position."""
        self._aside = self._layout.channel.composer.text
        self._leave()
        self._timeline.show(Log(), "", read=0)

    def come_forward(self) -> None:
        """Show this conversation from now on."""
        self._aside = None

    def composed(self, key: PaneKey) -> str:
        """Return the text in the composer: the channel's, or the thread's."""
        return self._pane(key).composer.text if self._aside is None else self._aside

    def compose_with(self, key: PaneKey, text: str) -> None:
        """Load a text into the composer, with `key` as its subject."""
        server = self._workspace.at(self._server_key)
        if self._aside is not None:
            self._aside = text
        elif server is not None:
            self._pane(key).composer.load(text, Subject(server.conversation.drafts, key))

    def give_back(self, key: PaneKey, text: str) -> None:
        """Restore an unsent text in the composer."""
        if self._aside is None:
            self._pane(key).composer.give_back(text)
        else:
            self._aside = join_texts(text, self._aside)

    def _pane(self, key: PaneKey) -> ConversationPane:
        return self._layout.channel if key.thread is None else self._layout.thread

    @property
    def _timeline(self) -> Timeline:
        return self._layout.channel.timeline

    def _leave(self) -> None:
        """Save the scroll position."""
        if self._opened is not None:
            self._places[self._opened] = self._timeline.place
            self._opened = None

    def show(self, key: PaneKey, log: Log, user: str, read: int) -> None:
        """Show a channel at its last scroll position, or a thread and focus its composer."""
        if self._aside is not None:
            return
        if key.thread is None:
            self._leave()
            self._opened = key.channel
            place = self._places.pop(key.channel, None)
            self._timeline.show(log, user, read=read, place=place)
        else:
            server = self._workspace.title_beside(self._server_key)
            self._layout.show_thread(channel_title(key.channel, user), server)
            self._layout.thread.timeline.show(log, user, read=read, thread=key.thread)
            self._layout.thread.write()

    def update(self, key: PaneKey, done: Splices) -> bool:
        """Apply a change to the timeline that shows its log."""
        return self._pane(key).timeline.apply(done)

    def close_thread(self) -> None:
        """Close the thread."""
        self._layout.close_thread()

    def choose(self, seq: int) -> bool:
        """Scroll to a message and put the cursor on it.

        The focus stays where it is: the message may be loaded while the user types.
        """
        return self._aside is None and self._timeline.choose(seq)

    def showing(self) -> int | None:
        """Return the highest visible seq."""
        return self._timeline.seen if self._aside is None else None

    def shows_newest(self, key: PaneKey) -> bool:
        """Whether the newest message of the channel or the open thread is visible."""
        return self._pane(key).timeline.at_bottom

    def show_newest(self, key: PaneKey) -> None:
        """Scroll the channel or the open thread to its newest message."""
        if self._aside is None:
            self._pane(key).timeline.jump_to_bottom()

    def unread_from(self) -> int | None:
        """Return the first unread seq at the time the channel was opened."""
        return self._timeline.unread_from

    def show_unread(self) -> None:
        """Scroll to the first unread message."""
        if self._timeline.unread_seq is None:
            raise Refused("No unread messages here.")
        self._timeline.scroll_to_seq(self._timeline.unread_seq)

    def list_unread(self, found: Mapping[Location, Unread]) -> None:
        """Show the inbox."""
        from chat.client.tui.screens.inbox import Inbox

        def chosen(place: tuple[Location, int] | None) -> None:
            if place is not None:
                self._workspace.jump(*place)

        inbox = Inbox(found, self._workspace.name_of, self._workspace.mark)
        self._screen.app.push_screen(inbox, chosen)

    def list_found(self, finding: SearchSession, state: ConversationState) -> None:
        """Open the search screen at its last selected result."""
        from chat.client.tui.screens.search import SearchScreen

        def chosen(place: tuple[str, int] | None) -> None:
            if place is not None:
                channel, seq = place
                self._workspace.jump(Location(self._server_key, channel), seq)
                if results.is_by_key:  # a click leaves the focus in the composer
                    self._timeline.focus()

        server = self._workspace.title_beside(self._server_key)
        results = SearchScreen(finding, state.user, server)
        self._screen.app.push_screen(results, chosen)

    def redraw(self) -> None:
        """Redraw the conversation state."""
        if not self._screen.is_mounted:
            return
        self._layout.draw_lists(self._workspace)
        self._screen.app.title = window_title(self._workspace)
        if self._aside is None:
            self._layout.draw(self._workspace)

    def run_in_background(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a background task."""
        self._screen.run_worker(work)

    def list_rows(
        self, title: str, then: Callable[[str], None], command: str, on_enter: str = ""
    ) -> AddRows:
        """Open an empty picker; return the function that adds rows to it."""
        heading = f"{title}: {on_enter}" if on_enter else title
        return pick(self._screen, heading, [], then, has_detail=True).add

    def set_theme(self, name: str) -> None:
        """Set the theme; without a name, open a picker."""
        app = self._screen.app
        if not name:
            self._choose_theme(app.theme)
        elif (wanted := by_name(name)) in app.available_themes:
            app.theme = wanted
            app.post_message(ThemeChosen(wanted))
        else:
            raise Refused(f"There is no theme “{name}”. Use /theme to choose one.")

    def _choose_theme(self, before: str) -> None:
        """Open a picker that previews each theme; restore the theme `before` on Escape."""
        app = self._screen.app

        def preview(name: str) -> None:
            app.theme = name

        named = short_names(app.available_themes)
        choices = [Choice(theme, name) for name, theme in named.items()]
        picker = Picker("Theme", choices, chosen=before, moved=preview)
        app.push_screen(picker, lambda name: self.set_theme(name) if name else preview(before))

    def toggle(self, pane: Pane) -> None:
        """Show or hide the sidebar or the member list."""
        self._layout.toggle(pane)

    def show_bare(self) -> None:
        """Open copy mode."""
        self._screen.call_later(self._screen.app.run_action, "bare")

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard."""
        self._screen.app.copy_to_clipboard(text)
        self.say("Copied.")

    def open_links(self, urls: Sequence[str]) -> None:
        """Open a web link, or copy it without a browser; for several links, open a picker."""
        match urls:
            case []:
                self.say("This message has no link.")
            case [url] if is_web_link(url) and can_open():
                self._screen.app.open_url(url)
            case [url]:
                self._screen.app.copy_to_clipboard(url)
                self.say("Link copied.")
            case _:
                pick_link(self._screen, urls, lambda url: self.open_links([url]))

    def show_help(self, command: Command | None = None) -> None:
        """Open the help, or show the help of one command as a notification."""
        if command is not None:
            self.say(command.help_line())
            return
        from chat.client.tui.screens.help import HelpScreen

        server = self._workspace.at(self._server_key)
        is_admin = server is not None and server.conversation.state.is_admin
        self._screen.app.push_screen(HelpScreen(self._keys, is_admin=is_admin))

    def quit(self) -> None:
        """End the program."""
        self._screen.call_later(self._screen.app.run_action, "quit")

    def ask_sign_in(self, refused: ConnectionChanged) -> None:
        """Ask how to sign in after a pause in typing, so that no typed text becomes the name."""
        if self._aside is not None or self._is_asking:
            return
        self._is_asking = True
        # Keys that were pressed earlier may not have reached the composer yet.
        self._screen.set_timer(_PAUSE, self._ask_sign_in_soon)

    def _ask_sign_in_soon(self) -> None:
        server = self._workspace.at(self._server_key)
        if (
            server is None
            or self._aside is not None
            or not server.conversation.state.connection.ways
        ):
            self._is_asking = False
            return
        refused = server.conversation.state.connection
        is_covered = self._screen.app.screen is not self._screen
        panes = self._layout.channel, self._layout.thread
        if is_covered or monotonic() - max(pane.composer.typed_at for pane in panes) < _PAUSE:
            self._screen.set_timer(_LOOK_EVERY, self._ask_sign_in_soon)
            return
        self._is_asking = False
        if way := server.conversation.wrong_way:
            server.conversation.sign_in(way)
            return
        title = self._workspace.title_beside(self._server_key)
        pick_sign_in(self._screen, refused, title, self._sign_in)

    def _sign_in(self, chosen: SignInWay | Credential | str) -> None:
        """Sign in with another name, or with a credential; a way alone asks for it next."""
        server = self._workspace.at(self._server_key)
        if server is None:
            return
        try:
            match chosen:
                case SignInWay():
                    server.conversation.sign_in(chosen)
                case Credential(way, secret):
                    server.conversation.sign_in(way, secret)
                case name:
                    server.conversation.rename(name)
        except Refused as exc:
            self.say(str(exc), "warning")
            self.ask_sign_in(server.conversation.state.connection)

    def ask_secret(
        self, question: str, then: Callable[[str], None], *, is_hidden: bool = True
    ) -> None:
        """Ask for a text in a dialog."""

        def answered(secret: str | None) -> None:
            if secret:
                then(secret)

        self._screen.app.push_screen(AskSecret(question, is_hidden=is_hidden), answered)

    def show_code(self, title: str, code: str, notes: Sequence[str]) -> Callable[[], None]:
        """Show a code in a dialog; return a function that closes it."""
        dialog = ShowSecret(title, code, notes)
        self._screen.app.push_screen(dialog)

        def close() -> None:
            if dialog.is_current:
                dialog.dismiss(None)

        return close

    def confirm(self, question: str, what: str, then: Callable[[], None]) -> None:
        """Ask in a dialog."""
        ask(self._screen, question, what, then)

    def ask(self, question: Question, then: Callable[[str, str], None]) -> None:
        """Ask in a dialog, in which reason and duration can be changed."""
        from chat.client.tui.screens.moderation import AskModeration

        def answered(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                then(*answer)

        self._screen.app.push_screen(AskModeration(question), answered)

    def sent_to_thread(self, channel: str, seq: int) -> None:
        """Open the thread of a reply that the channel does not show."""
        if server := self._workspace.at(self._server_key):
            server.conversation.threads.show(channel, seq)

    def begin_command(self, text: str) -> None:
        """Put the beginning of a command into the channel's composer, and focus it."""
        self._layout.channel.write()
        self._layout.channel.composer.put_first(text)

    def turned_back(self, channel: str, reason: str) -> None:
        """Show why a join was refused."""
        server = self._workspace.at(self._server_key)
        me = server.conversation.state.user if server else ""
        self.say(f"Cannot open {channel_title(channel, me)}: {reason}", "warning")

    def take_update(self, update: Update) -> None:
        """Do nothing: `redraw` shows the state."""

    def say(self, text: str, severity: Severity = "information") -> None:
        """Show a short notification."""
        title = "" if self._aside is None else self._workspace.title_beside(self._server_key)
        self._screen.app.notify(text, title=title, severity=severity, markup=False)


def window_title(workspace: Workspace) -> str:
    """Return the title of the terminal's window; it is not sanitized yet."""
    info = workspace.front.conversation.state.info
    if info is None:
        return "chat"
    waiting = workspace.count_addressed()
    return f"({waiting}) {title_of(info)} – chat" if waiting else f"{title_of(info)} – chat"
