"""The completion popup, and the state of completion."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chat.client.presenter.composer.completion import Candidate, Completion
from chat.client.tui.choice_list import ChoiceList
from chat.client.tui.safe_text import elide, line

__all__ = ["CompletionOffers", "CompletionPopup"]


class CompletionOffers:
    """The current completion, its selected candidate, and the dismissed word."""

    def __init__(self) -> None:
        self.found: Completion | None = None
        """The current completion; None without candidates."""
        self.index = 0
        """Index of the selected candidate."""
        self._is_chosen = False
        self._row = 0
        self._dismissed: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return self.found is not None

    @property
    def is_meant(self) -> bool:
        """Whether Enter accepts the candidate instead of sending the text."""
        return self.found is not None and (self._is_chosen or self.found.is_meant)

    @property
    def is_prefix(self) -> bool:
        """Whether the first candidate starts with the typed word."""
        return self.found is not None and self.found.candidates[0].is_prefix

    def take_in(self, found: Completion | None, row: int) -> bool:
        """Set the completion for a word in `row`; return whether it changed."""
        if found and self._dismissed == (row, found.start):
            found = None
        else:
            self._dismissed = None
        if found == self.found:
            return False
        self._row = row
        self.found, self.index, self._is_chosen = found, 0, False
        return True

    def choose(self, step: int) -> bool:
        """Move the selection by `step`, wrapping around; return False without candidates."""
        if self.found is None:
            return False
        self.index = (self.index + step) % len(self.found.candidates)
        self._is_chosen = True
        return True

    def candidate(self, index: int) -> tuple[Candidate, tuple[int, int]] | None:
        """Return a candidate, and the location (row, column) of the word that it replaces."""
        if self.found is None or not 0 <= index < len(self.found.candidates):
            return None
        return self.found.candidates[index], (self._row, self.found.start)

    def dismiss(self) -> None:
        """Dismiss the completion of this word."""
        if self.found is not None:
            self._dismissed = (self._row, self.found.start)

    def undismiss(self) -> None:
        """Allow completion of the dismissed word again."""
        self._dismissed = None

    def clear(self) -> bool:
        """Remove the completion; return whether there was one."""
        was = self.found is not None
        self.found, self.index, self._is_chosen = None, 0, False
        return was


_GAP = 3
_MOST_ROWS = 8


class CompletionPopup(ChoiceList, can_focus=False):
    """A list of completion candidates above the composer."""

    DEFAULT_CSS = """
    CompletionPopup {
        display: none;
        layer: popup;
        dock: bottom;
        width: 100%;
        height: auto;

        &.-shown {
            display: block;
        }
        & > .option-list--option {
            padding: 0 1;
        }
    }
    """

    @dataclass
    class OfferChosen(Message):
        """A candidate was clicked."""

        index: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._shown: Completion | None = None

    def show(self, completion: Completion | None, index: int) -> None:
        """Show candidates with the one at `index` highlighted; None hides the popup."""
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
        """Return the width of a row in cells."""
        return self._stage.width - 3

    @property
    def _stage(self) -> Size:
        """The size of the widget that the popup overlays."""
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
                    line(each.note, "$text-muted"),
                ),
                width,
            )
        )
        for label, each in zip(labels, candidates, strict=True)
    ]
