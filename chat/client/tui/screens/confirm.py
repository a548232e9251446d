"""A question before something is gone for good."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from chat.client.tui.foreign_text import elide, line

__all__ = ["Confirm"]

_QUOTED = 56


class Confirm(ModalScreen[bool]):
    """Returns whether the person agreed."""

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
            margin: 1 0;
            color: $foreground 70%;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", "Yes", show=False),
        Binding("n,escape", "dismiss(False)", "No", show=False),
    ]

    def __init__(self, question: str, what: str) -> None:
        super().__init__()
        self._question = question
        self._what = what

    def compose(self) -> ComposeResult:
        """Lay out the question, what it is about, and the answers."""
        with Vertical():
            yield Static(line(self._question, "bold"), markup=False)
            yield Static(elide(line(self._what), _QUOTED), id="what", markup=False)
            yield Static("Y or Enter: yes     N or Esc: no", markup=False)
