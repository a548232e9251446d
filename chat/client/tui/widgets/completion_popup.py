"""The offers of completion, over the timeline's last lines; the keys stay with the composer."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chat.client.presenter.completing import Candidate, Completion
from chat.client.tui.foreign_text import elide, line

__all__ = ["CompletionPopup"]

_GAP = 3
_MOST_ROWS = 8


class CompletionPopup(OptionList, can_focus=False):
    """Shows a `Completion` and which of its offers is chosen."""

    DEFAULT_CSS = """
    CompletionPopup {
        display: none;
        layer: popup;
        dock: bottom;
        width: 100%;
        height: auto;
        border: none;
        padding: 0;
        background: $panel;
        scrollbar-size-vertical: 1;

        &.-shown {
            display: block;
        }
        & > .option-list--option {
            padding: 0 1;
        }
        & > .option-list--option-highlighted {
            background: $primary 40%;
            color: $foreground;
            text-style: none;
        }
    }
    """

    @dataclass
    class OfferChosen(Message):
        """An offer was clicked."""

        index: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._shown: Completion | None = None

    def show(self, completion: Completion | None, index: int) -> None:
        """Show the offers with that of `index` chosen; None hides them."""
        if completion != self._shown:
            self._shown = completion
            self.set_class(completion is not None, "-shown")
            if completion is not None:
                self.styles.max_height = min(_MOST_ROWS, self._stage.height) or _MOST_ROWS
                self.set_options(_rows(completion.candidates, self._room()))
        if completion is not None:
            with self.prevent(OptionList.OptionHighlighted):
                self.highlighted = index

    def _room(self) -> int:
        """Return the cells of a row: as wide as what the popup lies over."""
        return self._stage.width - 3

    @property
    def _stage(self) -> Size:
        """The size of what the popup lies over."""
        parent = self.parent
        return parent.size if isinstance(parent, Widget) else self.screen.size

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.OfferChosen(event.option_index))


def _rows(candidates: tuple[Candidate, ...], width: int) -> list[Option]:
    labels = [line(each.label) for each in candidates]
    column = max(label.cell_length for label in labels) + _GAP
    return [
        Option(
            elide(
                Content.assemble(
                    label,
                    " " * (column - label.cell_length),
                    line(each.note, "$foreground 60%"),
                ),
                width,
            )
        )
        for label, each in zip(labels, candidates, strict=True)
    ]
