"""Dialogs for secrets: ask for one, and show one. Nothing of them is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chat.client.tui.safe_text import line
from chat.client.tui.screens import NARROW

__all__ = ["AskSecret", "ShowSecret"]

_MOST = 1_024
_CSS = """
{name} {{
    align: center middle;
    background: $background 60%;

    & > Vertical {{
        width: 62;
        max-width: 90%;
        height: auto;
        padding: 1 2;
        background: $panel;
        border-top: tall $primary;
    }}
    & Input, & Input:focus {{
        border: none;
        height: 1;
        padding: 0 1;
        margin: 1 0;
        background: $surface;
    }}
    & #secret {{
        width: auto;
        padding: 0 1;
        margin: 1 0;
        background: $surface;
        text-style: bold;
    }}
    & .keys {{ color: $text-muted; }}
    &.-narrow > Vertical {{ width: 100%; max-width: 100%; }}
}}
"""


class AskSecret(ModalScreen[str | None]):
    """Ask for one line; returns it, or None."""

    DEFAULT_CSS = _CSS.format(name="AskSecret")
    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
    ]

    def __init__(self, question: str, *, is_hidden: bool) -> None:
        super().__init__()
        self._question = question
        self._is_hidden = is_hidden

    def compose(self) -> ComposeResult:
        """Compose the question and the field."""
        with Vertical():
            yield Static(line(self._question, "bold"), markup=False)
            yield Input(password=self._is_hidden, max_length=_MOST, compact=True)
            yield Static("Enter continue   Esc cancel", classes="keys", markup=False)

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value)


class ShowSecret(ModalScreen[None]):
    """Show a code that is not shown again.

    Args:
        title: what it is.
        code: the code.
        notes: what to do with it, and until when.
    """

    DEFAULT_CSS = _CSS.format(name="ShowSecret")
    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss(None)", "Close", show=False),
        Binding("c,y", "copy", "Copy", show=False),
    ]

    def __init__(self, title: str, code: str, notes: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._code = code
        self._notes = tuple(notes)

    def compose(self) -> ComposeResult:
        """Compose the code and its notes."""
        with Vertical():
            yield Static(line(self._title, "bold"), markup=False)
            yield Static(line(self._code), id="secret", markup=False)
            for note in self._notes:
                yield Static(line(note), markup=False)
            yield Static("")
            yield Static("c copy   Esc close", classes="keys", markup=False)

    def action_copy(self) -> None:
        """Copy the code."""
        self.app.copy_to_clipboard(self._code)
        self.notify("Copied.")
