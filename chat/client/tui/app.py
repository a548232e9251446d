"""The Textual app: connects cores, terminal, and screens."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic, time
from typing import Any, ClassVar

from textual import constants, events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.geometry import Offset
from textual.message import Message
from textual.messages import ExitApp
from textual.notifications import Notification, Notify, SeverityLevel
from textual.reactive import Reactive
from textual.screen import ModalScreen
from textual.theme import Theme
from textual.timer import Timer
from textual.widget import AwaitMount
from textual.widgets._toast import ToastHolder

from chat.client.config.settings import ClientSettings
from chat.client.model.emoji import spelled
from chat.client.platform import desktop
from chat.client.platform.stdio import report_unsent
from chat.client.presenter.workspace import Cores
from chat.client.sync.core import Core
from chat.client.tui.composer.widget import Composer
from chat.client.tui.keymap import KeyRow, key_label, problems, rows
from chat.client.tui.safe_text import sendable, show_emoji
from chat.client.tui.screens.copy_mode import CopyModeScreen
from chat.client.tui.screens.main import MainScreen
from chat.client.tui.screens.main_view import Rang, ThemeChosen
from chat.client.tui.terminal import tuning
from chat.client.tui.terminal.key_queue import KeyQueue, Passed
from chat.client.tui.terminal.pointer import Flooding, Pointer
from chat.client.tui.terminal.tuning import Pace
from chat.client.tui.themes import DARK, OWN, is_flat, made_by_hand, readable
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.painter import FORGET_EVERY, forget_styles
from chat.text import printable, printable_line

__all__ = ["ChatApp", "key_rows"]

_STOP_WITHIN = 3.0
_THEME = "theme"
_NOTICES_MAX = 3
"""Most notifications at a time: more would leave little room for the conversation."""
_WAITING_MAX = 9
"""Most notifications that wait until another one has been read; beyond, the oldest is dropped."""
_NOTICE_ROOM = 12
"""Rows of the terminal per notification."""
_NEXT_NOTICE = 0.1
"""Seconds between two notifications that waited."""
_READ_PER_SECOND = 15
"""Characters that a person reads in a second."""


class ChatApp(App[None]):
    """The Textual app of the client.

    Args:
        settings: the settings, with a user name.
        make_core: factory of a server's core; the core calls the given function, from any thread,
            when it has changes to drain.
        keymap: the user's keys by binding id (default: those of the settings).
    """

    TITLE = "chat"
    CSS = """
    * {
        scrollbar-background: $surface;
        scrollbar-background-hover: $surface;
        scrollbar-background-active: $surface;
        scrollbar-color: $foreground 20%;
        scrollbar-color-hover: $foreground 40%;
        scrollbar-color-active: $primary;
        scrollbar-corner-color: $surface;
    }
    App:ansi * { scrollbar-color: ansi_bright_black; scrollbar-color-hover: ansi_bright_black; }
    /* Above the status bar; `Layout.make_room` moves the conversation above them. */
    ToastRack { margin: 0 0 1 0; max-height: 50%; overflow: hidden hidden; }
    Toast { width: 100%; max-width: 100%; padding: 0 1; margin-top: 0; background: $panel; }
    .text-area--cursor {
        color: $input-cursor-foreground;
        background: $input-cursor-background;
    }
    .text-area--selection {
        color: $input-selection-foreground;
        background: $input-selection-background;
        text-style: none;
    }
    .text-area--placeholder, .input--placeholder { color: $placeholder; text-style: italic; }
    App:ansi .text-area--placeholder, App:ansi .input--placeholder { text-style: dim italic; }
    App:ansi Banner { background: transparent; color: $text-warning; }
    App:ansi Banner.-refused { color: $text-error; }
    /* What is below a dialog cannot be dimmed in 16 colors. */
    App:ansi ModalScreen { background: $background; }
    App:ansi Confirm, App:ansi Picker.-preview { background: transparent; }
    App:ansi ModalScreen > Vertical { border: solid $primary; }
    App:ansi ModalScreen VerticalScroll { border-top: solid $primary; margin-top: 0; }
    App:ansi HelpScreen VerticalScroll { border-top: none; }
    App.-flat {
        & Sidebar { border-right: solid $foreground; }
        & MemberList { border-left: solid $foreground; }
        & #thread { border-left: solid $foreground; }
        & #thread.-stacked { border-left: none; }
        & #thread > .writing { border-top: solid $foreground; }
        & Preview { border-top: none; }
    }
    """
    ENABLE_COMMAND_PALETTE = False  # the switcher has the commands
    NOTICE_PAUSE = 2.0
    """Minimum seconds that a notification shows before another one takes its place."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "show help", show=False, id="help"),
        Binding(
            "f4",
            "bare",
            "show messages as plain text, to select them with the mouse",
            show=False,
            id="pane.bare",
        ),
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, id="quit"),
    ]

    class CoreWoke(Message):
        """A core has changes to drain."""

    theme = Reactive(DARK.name)  # set at once: a change restyles every widget

    def __init__(
        self,
        settings: ClientSettings,
        *,
        make_core: Callable[[ClientSettings, Callable[[], None]], Core] | None = None,
        keymap: Mapping[str, str] | None = None,
    ) -> None:
        own = [made_by_hand(*each) for each in settings.themes.items()]
        self._themes = {theme.name: theme for theme in (*OWN, *own)}
        super().__init__()
        for theme in self._themes.values():
            self.register_theme(theme)
        make = make_core or (lambda each, wake: Core(each, wake=wake))
        self.cores = Cores(settings, lambda each: make(each, self._wake))
        self._settings = settings
        self._own_keys = dict(settings.keys if keymap is None else keymap)
        show_emoji(spelled if settings.emoji_names else None)
        self._is_open = False
        self._is_ready = False
        self._pace = Pace()
        self._is_waiting = False
        self._is_bare = False
        self._in_turn = KeyQueue(self, super().on_event)
        self.pointer = Pointer(self, super().on_event)
        self._notices: dict[tuple[str, str, SeverityLevel], tuple[Notification, int]] = {}
        """The shown notifications by their contents, and how often each was raised."""
        self._waiting_notices: deque[Notification] = deque(maxlen=_WAITING_MAX)
        self._notice_timer: Timer | None = None

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Run the app until the user quits.

        Raises:
            StartupError: no core can start; the terminal is unchanged.
            SystemExit: the app failed; the error was printed.
        """
        self._open()
        try:
            super().run(*args, **kwargs)
        finally:
            tuning.resume_collector()
            self.cores.stop(_STOP_WITHIN)
            report_unsent(0 if self._settings.demo else self.cores.unsent(), self.cores.unsaved())
        if self.return_code:
            raise SystemExit(self.return_code)

    def _fatal_error(self) -> None:
        """Print the traceback of an internal error without local variables.

        Textual prints them; they can hold a password or a message that was just typed.
        """
        from rich.traceback import Traceback  # lazy: rarely needed

        self.panic(Traceback(width=None))

    def get_driver_class(self) -> type[Driver]:
        """Return this program's driver, or Textual's on Windows."""
        if sys.platform == "win32" or constants.DRIVER:
            return super().get_driver_class()
        from chat.client.tui.terminal.driver import Terminal

        return Terminal

    def get_theme(self, theme_name: str) -> Theme | None:
        """Return a theme; this program's themes are available before they are registered."""
        return self._themes.get(theme_name) or super().get_theme(theme_name)

    def get_css_variables(self) -> dict[str, str]:
        """Return the theme's colors, with readable text."""
        self.theme_variables = readable(self.current_theme, super().get_css_variables())
        return self.theme_variables

    def get_default_screen(self) -> MainScreen:
        """Return the main screen."""
        self._open()
        return MainScreen(self.cores, self._settings, key_rows(self._own_keys))

    def on_mount(self) -> None:
        """Apply the keys and the theme."""
        self.set_keymap(self._own_keys)
        kept = self.cores.pref(_THEME)
        self.theme = kept if kept in self.available_themes else DARK.name
        self._separate_panes(self.current_theme)
        self.theme_changed_signal.subscribe(self, self._separate_panes)
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))

    def _separate_panes(self, theme: Theme) -> None:
        self.set_class(is_flat(theme), "-flat")
        for screen in self.screen_stack:
            screen.query("*").refresh()  # text colors may change although styles do not

    def on_ready(self) -> None:
        """Report problems of the settings, and connect after the first paint."""
        self._is_ready = True
        for problem in problems(_groups(), self._own_keys):
            self.notify(f"Key bindings: {problem}.", severity="warning", timeout=12)
        for fault in self.cores.faults:
            self.notify(fault, severity="error", timeout=12)
        self.watch_title(self.title)
        self._take_in()
        self.set_interval(FORGET_EVERY, forget_styles)
        self.call_after_refresh(self.cores.start)

    async def on_exit_app(self) -> None:
        """Save typed text when the app exits: by a key, a signal or a closed terminal.

        A screen that is being mounted is awaited, because saving needs its widgets.
        """
        if not (screens := self.screen_stack):
            return
        await AwaitMount(self.screen, screens)
        if isinstance(main := screens[0], MainScreen):
            main.workspace.close()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a notification as plain text, without markup, long enough to read it."""
        if timeout is None:
            timeout = max(self.NOTIFICATION_TIMEOUT, len(message) / _READ_PER_SECOND)
        super().notify(
            printable(message),
            title=printable_line(title),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def copy_to_clipboard(self, text: str) -> None:
        """Copy text to the clipboards of the terminal and of the system."""
        text = sendable(text)  # another program might obey control characters
        super().copy_to_clipboard(text)
        if not self.is_headless:
            self.run_worker(
                partial(desktop.copy_to_clipboard, text), thread=True, group="clipboard"
            )

    def watch_title(self, title: str) -> None:
        """Set the title of the terminal's window."""
        set_title = getattr(self._driver, "set_title", None)
        if set_title is not None:
            set_title(title)

    def watch_app_focus(self, has_focus: bool) -> None:
        """Focus the field of a dialog that opened while the terminal did not have the focus.

        Textual only gives the focus back to a widget that had it.
        """
        screen = self.screen_stack[-1] if self.screen_stack else None
        if has_focus and isinstance(screen, ModalScreen) and screen.focused is None:
            screen.focus_next()

    async def on_event(self, event: events.Event) -> None:
        """Handle keys and pastes in order, and merge mouse events."""
        is_input = isinstance(event, events.InputEvent | events.Paste) and not event.is_forwarded
        if is_input and isinstance(event, Flooding):
            self.pointer.take(event)
            return
        if is_input:
            await self.pointer.settle()
        if is_input and isinstance(event, events.Key | events.Paste):
            self._pace.delay_for_key(monotonic())
            await self._in_turn.take(event)
        else:
            await super().on_event(event)

    @on(Notify)
    def _count_notice(self, event: Notify) -> None:
        """Replace an equal notification by one with a count, and limit their number.

        Without room, it takes the place of the oldest, once that one has been read. Textual adds
        this notification to `_notifications` afterwards, and shows its contents.
        """
        notice = event.notification
        said = (notice.title, notice.message, notice.severity)
        before, count = self._notices.get(said, (None, 0))
        if before is not None and before in self._notifications:
            count += 1
            notice.message = f"{notice.message} (×{count})"
            self._take_back(before)
        elif (wait := self._notice_wait()) > 0:
            event.prevent_default()
            if all(
                said != (each.title, each.message, each.severity) for each in self._waiting_notices
            ):
                self._waiting_notices.append(notice)
            self._notice_timer = self._notice_timer or self.set_timer(wait, self._show_waiting)
            return
        else:
            count = 1
        for old in [*self._notifications][: len(self._notifications) + 1 - self._notice_room]:
            self._take_back(old)
        self._notices = {k: v for k, v in self._notices.items() if v[0] in self._notifications}
        self._notices[said] = notice, count

    @property
    def _notice_room(self) -> int:
        """The most notifications at a time."""
        return max(1, min(_NOTICES_MAX, self.size.height // _NOTICE_ROOM))

    def _notice_wait(self) -> float:
        """Return the seconds until another notification may show; 0 or less: now."""
        shown = [*self._notifications]
        if len(shown) < self._notice_room:
            return 0.0
        oldest: Notification = shown[0]
        to_read: float = max(self.NOTICE_PAUSE, len(oldest.message) / _READ_PER_SECOND)
        return oldest.raised_at + to_read - time()

    def _show_waiting(self) -> None:
        """Show the next waiting notification, or wait for its place."""
        self._notice_timer = None
        if not self._waiting_notices:
            return
        if (wait := self._notice_wait()) <= 0:
            notice = self._waiting_notices.popleft()
            notice.raised_at = time()
            self.post_message(Notify(notice))
            wait = _NEXT_NOTICE
        self._notice_timer = self.set_timer(wait, self._show_waiting)

    def _take_back(self, notice: Notification) -> None:
        del self._notifications[notice]
        for holder in self.screen.query(ToastHolder):  # Textual would keep it, empty
            if holder.id is not None and holder.id.endswith(notice.identity):
                holder.remove()

    @on(Passed)
    async def _passed(self, event: Passed) -> None:
        await self._in_turn.passed(event)

    @on(Rang)
    def _ring(self, event: Rang) -> None:
        """Write the notification's terminal sequence."""
        if self._driver is not None:
            self._driver.write(event.sequence)

    @on(ThemeChosen)
    def _keep_theme(self, event: ThemeChosen) -> None:
        self.cores.save_pref(_THEME, event.name)

    def action_help(self) -> None:
        """Show the help."""
        if isinstance(self.screen, MainScreen):
            self.screen.conversation.view.show_help()

    def action_bare(self) -> None:
        """Show copy mode until a key is pressed."""
        if isinstance(self.screen, MainScreen):
            self.push_screen(CopyModeScreen(self.screen.bare_lines, self._write_bare))

    def _write_bare(self, lines: Sequence[str] | None) -> None:
        """Write lines to the terminal and pause Textual's painting; None resumes it."""
        begin, end = (getattr(self._driver, name, None) for name in ("begin_bare", "end_bare"))
        if begin is None or end is None:
            return
        if lines is not None:
            if not self._is_bare:
                self._is_bare = True
                self._begin_batch()
            begin(lines)
        elif self._is_bare:
            self._is_bare = False
            self._end_batch()
            end()

    async def action_quit(self) -> None:
        """Quit as on a signal; after Textual's `exit`, a screen cannot finish mounting."""
        self.post_message(ExitApp())

    def action_help_quit(self) -> None:
        """Show how to quit, after Ctrl+C."""
        keys = self._own_keys.get("quit", "ctrl+q").split(",")
        self.notify(f"Press {key_label(keys[0])} to quit. Unsent messages are kept.")

    def on_chat_app_core_woke(self) -> None:
        """Show the core's changes."""
        self._take_in()

    @property
    def cursor_position(self) -> Offset:
        """Position of the terminal's cursor: the caret, where input methods open.

        Textual's value dates from the caret's last move; the widget may have moved since.
        """
        caret = getattr(self.focused, "cursor_screen_offset", None) if self.is_running else None
        return caret if isinstance(caret, Offset) else self._caret

    @cursor_position.setter
    def cursor_position(self, offset: Offset) -> None:
        self._caret = offset

    @property
    def _main(self) -> MainScreen:
        main = self.screen_stack[0]
        assert isinstance(main, MainScreen)
        return main

    def _open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self.cores.open()

    def _take_in(self) -> None:
        if not self._is_ready or self._is_waiting or not self.screen_stack:  # exiting
            return
        if wait := self._pace.wait(monotonic()):
            self._is_waiting = True
            self.set_timer(wait, self._take_in_now)
            return
        self._main.workspace.take_in()
        if self._main.workspace.have_tried:  # all modules for a connection are imported
            tuning.resume_collector()

    def _take_in_now(self) -> None:
        self._is_waiting = False
        self._take_in()

    def _wake(self) -> None:
        """Post `CoreWoke` from the core's thread; no-op unless the app is running."""
        if self.is_running:
            self.post_message(self.CoreWoke())


def key_rows(keymap: Mapping[str, str] | None = None) -> list[KeyRow]:
    """Return all keys, with the user's keys in place of the defaults."""
    return rows(_groups(), keymap)


def _groups() -> dict[str, list[BindingType]]:
    return {
        "Anywhere": [*ChatApp.BINDINGS, *MainScreen.BINDINGS],
        "Composer": Composer.BINDINGS,
        "Timeline": Timeline.BINDINGS,
    }
