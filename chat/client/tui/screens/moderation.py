"""Ask before an act of moderation: one question, with the reason and the duration.

Enter counts only after a pause in typing, so that a key that was meant for a message does not ban
anyone. Letters are the reason: they act on nobody.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Input, Static

from chat.client.presenter.view import DURATIONS, Question
from chat.client.tui.safe_text import line
from chat.client.tui.screens import NARROW
from chat.client.tui.screens.confirm import TypingPause

__all__ = ["AskModeration", "Durations"]


class Durations(Widget):
    """A row of durations, one of them chosen; a click chooses another."""

    DEFAULT_CSS = """
    Durations { width: 1fr; height: 1; pointer: pointer; }
    """

    chosen: reactive[int] = reactive(0)
    """The position of the chosen duration."""

    def __init__(self, typed: str) -> None:
        super().__init__()
        own = () if typed in DURATIONS else (typed,)
        self._durations = (*own, *DURATIONS)
        self.set_reactive(Durations.chosen, self._durations.index(typed))

    @property
    def value(self) -> str:
        """The chosen duration, as `/ban` takes it; empty for no end."""
        return str(self._durations[self.chosen])

    def move(self, step: int) -> None:
        """Choose the next duration, or the previous one; the first follows the last."""
        self.chosen = (self.chosen + step) % len(self._durations)

    def render(self) -> Content:
        """Draw the row, with the chosen duration in reverse.

        Without room, the first durations are left out, so that the chosen one shows.
        """
        drawn = [
            Content.styled(
                f" {duration or 'no end'} ", "reverse" if place == self.chosen else "$text-muted"
            ).stylize(Style.from_meta({"place": place}))
            for place, duration in enumerate(self._durations)
        ]
        first, width = 0, self.content_size.width
        while first < self.chosen and _row(drawn[first : self.chosen + 1]).cell_length > width:
            first += 1
        return _row(drawn[first:])

    def on_click(self, event: events.Click) -> None:
        """Choose the duration that was clicked."""
        place = event.style.meta.get("place")
        if isinstance(place, int):
            self.chosen = place


def _row(parts: list[Content]) -> Content:
    return Content(" ").join(parts)


class _Reason(Input):
    """The reason of an act."""

    def __init__(self, pause: TypingPause, reason: str) -> None:
        super().__init__(reason, placeholder="No reason", compact=True, select_on_focus=False)
        self._pause = pause

    def on_key(self, event: events.Key) -> None:
        """Drop an Enter that was pressed before a pause in typing."""
        if event.key == "enter":
            self._pause.drops(event)


class AskModeration(ModalScreen[tuple[str, str] | None]):
    """A question before an act of moderation; returns the reason and the duration, or None."""

    DEFAULT_CSS = """
    AskModeration {
        align: center middle;
        background: $background 60%;

        & > Vertical {
            width: 66;
            max-width: 90%;
            height: auto;
            padding: 1 2;
            background: $panel;
            border-top: tall $error;
        }
        & #effect { margin-bottom: 1; color: $text-muted; }
        & .row { height: 1; }
        & .label { width: 10; color: $text-muted; }
        & Input { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
        & #answers { height: 1; margin-top: 1; }
        & #answers Static {
            width: auto;
            margin-right: 2;
            background: $surface;
            pointer: pointer;
        }
        & #act { color: $text-muted; }
        & #answers #hint { background: $panel; color: $text-muted; pointer: default; }
        &.-ready #act { color: $text-error; text-style: bold; }
        &.-narrow > Vertical { width: 100%; max-width: 100%; padding: 0 1; }
    }
    """

    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("enter", "agree", "Do it", show=False),
        Binding("up,shift+tab", "move(-1)", "Shorter", show=False, priority=True),
        Binding("down,tab", "move(1)", "Longer", show=False, priority=True),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question
        self._is_ready = False
        self._pause = TypingPause(self, self._set_ready)
        self._reason = _Reason(self._pause, question.reason)
        has_end = question.duration is not None
        self._durations = Durations(question.duration or "") if has_end else None

    def compose(self) -> ComposeResult:
        """Lay out the question, its fields, and the answers."""
        verb = self._question.title.partition(" ")[0]
        with Vertical():
            yield Static(line(self._question.title, "bold"), markup=False)
            yield Static(line(self._question.effect), id="effect", markup=False)
            with Horizontal(classes="row"):
                yield Static("Reason", classes="label", markup=False)
                yield self._reason
            if self._durations is not None:
                with Horizontal(classes="row"):
                    yield Static("Duration", classes="label", markup=False)
                    yield self._durations
            with Horizontal(id="answers"):
                yield Static("  Esc Cancel  ", id="cancel", markup=False)
                yield Static(line(f"  Enter {verb}  "), id="act", markup=False)
                if self._durations is not None:
                    yield Static("Tab next duration", id="hint", markup=False)

    def on_mount(self, event: events.Mount) -> None:
        """Wait for a pause in typing."""
        self._pause.begin(event.time)

    def _set_ready(self, is_ready: bool) -> None:
        self._is_ready = is_ready
        self.set_class(is_ready, "-ready")

    def action_move(self, step: int) -> None:
        """Choose a longer or a shorter duration."""
        if self._durations is not None:
            self._durations.move(step)

    @on(Input.Submitted)
    def action_agree(self) -> None:
        """Return the reason and the duration."""
        duration = self._durations.value if self._durations is not None else ""
        self.dismiss((" ".join(self._reason.value.split()), duration))

    def on_click(self, event: events.Click) -> None:
        """Take the answer that was clicked."""
        clicked, _ = self.get_widget_at(*event.screen_offset)
        if clicked.id == "cancel":
            self.dismiss(None)
        elif clicked.id == "act":
            self.action_agree()
