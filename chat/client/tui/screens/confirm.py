"""Ask before something that cannot be undone; the default is No.

Letters meant for a message must not answer a question. A key counts only after a pause in typing:
keys that were pressed before the question was on the screen, or soon after another key, are
dropped. A key that only moves between the answers is not typed text: it counts soon after the
question appeared, and the next key counts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen
from textual.timer import Timer
from textual.widgets import Static

from chat.client.tui.safe_text import line, lines
from chat.client.tui.screens import NARROW

__all__ = ["Confirm", "TypingPause"]

_QUOTED_MAX = 200
"""Maximum characters of each line of the subject; the dialog shows as many as fit."""
_LINES_MAX = 6
"""Lines of the subject; the dialog shows as many as fit."""
_PAUSE = 0.8
"""Seconds without a key after which the next key counts as an answer."""
_OPENING = 0.1
"""Seconds after the question appeared in which arrow keys and Tab are dropped too."""
_MOVES = ("left", "right", "tab", "shift+tab")


class TypingPause:
    """A filter that drops the keys of a dialog that follow another key too soon.

    Args:
        screen: the dialog.
        changed: called with whether the next key counts, whenever that changes.
        moves: keys that only move between the answers.
    """

    def __init__(
        self, screen: Screen[Any], changed: Callable[[bool], None], moves: Container[str] = ()
    ) -> None:
        self._screen = screen
        self._changed = changed
        self._moves = moves
        self.has_typed = False
        """Whether a key was pressed that does not only move between the answers."""
        self._key_at = 0.0
        self._timer: Timer | None = None

    def begin(self, key_at: float) -> None:
        """Wait for a pause after a key, or after the question appeared."""
        self._key_at = max(self._key_at, key_at)
        self._changed(False)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._screen.set_timer(_PAUSE, lambda: self._changed(True))

    def drops(self, event: events.Key) -> bool:
        """Drop a key pressed while typing; Escape always counts."""
        is_move = event.key in self._moves
        pause = _OPENING if is_move and not self.has_typed else _PAUSE
        is_answer = event.key == "escape" or event.time - self._key_at >= pause
        if is_answer and is_move:
            self._end(event.time)
        else:
            self.has_typed = True
            self.begin(event.time)
        if not is_answer:
            event.stop()
            event.prevent_default()
        return not is_answer

    def _end(self, key_at: float) -> None:
        """Accept the next key without a pause."""
        self._key_at = key_at - _PAUSE
        if self._timer is not None:
            self._timer.stop()
        self._changed(True)


class Confirm(ModalScreen[bool]):
    """A yes/no dialog; returns whether the user agreed."""

    DEFAULT_CSS = """
    Confirm {
        align: center middle;
        background: $background 60%;

        & > Vertical {
            width: 62;
            max-width: 90%;
            height: auto;
            padding: 1 2;
            background: $panel;
            border-top: tall $error;
        }
        & #what {
            height: auto;
            max-height: 25vh;
            margin: 1 0;
            color: $text-muted;
            text-wrap: nowrap;
            text-overflow: ellipsis;
        }
        & Horizontal { height: 1; }
        & Horizontal Static {
            width: auto;
            margin-right: 2;
            background: $surface;
            color: $text-muted;
            pointer: pointer;
        }
        &.-ready Horizontal Static { color: $foreground; }
        & .-chosen { text-style: reverse; }
        &.-narrow > Vertical { width: 100%; max-width: 100%; }
    }
    """

    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes", show=False),
        Binding("n,escape", "dismiss(False)", "No", show=False),
        Binding(",".join(_MOVES), "other", "The other answer", show=False),
        Binding("enter", "answer", "The chosen answer", show=False),
    ]

    is_ready: reactive[bool] = reactive(False, init=False)
    """Whether the next key counts as an answer."""
    is_yes_chosen: reactive[bool] = reactive(False, init=False)
    """Whether Enter answers Yes."""

    def __init__(self, question: str, what: str) -> None:
        super().__init__()
        self._question = question
        self._what = what
        self._pause = TypingPause(self, self._set_ready, _MOVES)

    def compose(self) -> ComposeResult:
        """Compose the question, its subject, and the answers."""
        with Vertical():
            yield Static(line(self._question, "bold"), markup=False)
            yield Static(_beginning(self._what), id="what", markup=False)
            with Horizontal():
                yield Static("  n No  ", id="no", classes="-chosen", markup=False)
                yield Static("  y Yes  ", id="yes", markup=False)

    def on_mount(self, event: events.Mount) -> None:
        """Wait for a pause in typing."""
        self._pause.begin(event.time)

    def on_key(self, event: events.Key) -> None:
        """Drop a key pressed while typing."""
        self._pause.drops(event)

    def _set_ready(self, is_ready: bool) -> None:
        self.is_ready = is_ready

    def action_other(self) -> None:
        """Select the other answer."""
        self.is_yes_chosen = not self.is_yes_chosen

    def action_answer(self) -> None:
        """Return the selected answer."""
        self.dismiss(self.is_yes_chosen)

    def on_click(self, event: events.Click) -> None:
        """Return the answer that was clicked."""
        clicked, _ = self.get_widget_at(*event.screen_offset)
        if clicked.id in ("no", "yes"):
            self.dismiss(clicked.id == "yes")

    def watch_is_ready(self) -> None:
        """Show whether answers are accepted."""
        self.set_class(self.is_ready, "-ready")

    def watch_is_yes_chosen(self) -> None:
        """Show the selected answer."""
        self.query_one("#yes").set_class(self.is_yes_chosen, "-chosen")
        self.query_one("#no").set_class(not self.is_yes_chosen, "-chosen")


def _beginning(text: str) -> Content:
    """Return the first lines of a text; an ellipsis stands for the others."""
    written = text.strip("\n").splitlines()
    first = [each[:_QUOTED_MAX] for each in written[:_LINES_MAX]]
    if len(written) > _LINES_MAX:
        first[-1] = "…"
    return lines("\n".join(first))
