"""A list to choose from by a few letters: channels, members, emoji, themes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chat.client.presenter.choice import Choice
from chat.client.presenter.fuzzy import rank
from chat.client.tui.foreign_text import elide, line

__all__ = ["Picker"]

_MOST_SHOWN = 200
_SIGNS = "#@/"
_LOW = 20
"""Rows of the terminal below which nothing is set apart by blank lines."""
_MOST_ROWS = 20
_AROUND, _AROUND_LOW = 8, 3
"""Rows of the dialog besides the list: margin and edges, the title and the field."""


class Picker(ModalScreen[str | None]):
    """Returns the key of the row that was chosen, or None.

    A sign at the beginning (`#`, `@`, `/`) asks for channels, people or commands alone.
    """

    DEFAULT_CSS = """
    Picker {
        align: center top;
        background: $background 60%;

        & > Vertical {
            width: 64;
            max-width: 90%;
            height: auto;
            max-height: 80%;
            margin-top: 2;
            padding: 0 1 1 1;
            background: $panel;
            border-top: tall $primary;
        }
        & Input {
            border: none;
            height: 1;
            padding: 0;
            margin-bottom: 1;
            background: $panel;
        }
        & #title {
            text-style: bold;
            margin-bottom: 1;
        }
        & OptionList {
            border: none;
            padding: 0;
            height: auto;
            background: $panel;
            scrollbar-size-vertical: 1;
        }
        & .option-list--option-highlighted {
            background: $primary 40%;
            color: $foreground;
            text-style: none;
        }
        &.-low > Vertical { max-height: 100%; margin-top: 0; padding: 0 1; }
        &.-low #title, &.-low Input { margin-bottom: 0; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", show=False),
        Binding("down,ctrl+n", "move(1)", "Down", show=False),
        Binding("up,ctrl+p", "move(-1)", "Up", show=False),
        Binding("pagedown", "move(10)", "Further down", show=False),
        Binding("pageup", "move(-10)", "Further up", show=False),
    ]

    def __init__(
        self,
        title: str,
        choices: Iterable[Choice],
        otherwise: Callable[[str], Choice | None] | None = None,
        hint: str = "Type a few letters",
    ) -> None:
        super().__init__()
        self._title = title
        self._otherwise = otherwise
        self._hint = hint
        self._choices = {choice.key: choice for choice in choices}

    def compose(self) -> ComposeResult:
        """Lay out title, filter and list."""
        with Vertical():
            yield Static(id="title", markup=False)
            yield Input(placeholder=self._hint, compact=True)
            rows = OptionList(markup=False)
            rows.can_focus = False
            yield rows

    def on_resize(self, event: events.Resize) -> None:
        """Leave the list as much room as there is: what does not fit in is not reached."""
        is_low = event.size.height < _LOW
        self.set_class(is_low, "-low")
        around = _AROUND_LOW if is_low else _AROUND
        most = event.size.height if is_low else event.size.height * 4 // 5
        self.query_one(OptionList).styles.max_height = max(1, min(_MOST_ROWS, most - around))
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        rows = self.query_one(OptionList)
        chosen = rows.highlighted
        self._fill()
        if chosen is not None and chosen < rows.option_count:
            rows.highlighted = chosen

    def add(self, choices: Iterable[Choice]) -> None:
        """Show more rows at the end."""
        self._choices.update({choice.key: choice for choice in choices})
        if self.is_mounted:
            self._fill()

    def action_move(self, step: int) -> None:
        """Choose another row."""
        rows = self.query_one(OptionList)
        if rows.option_count:
            last = rows.option_count - 1
            rows.highlighted = min(max((rows.highlighted or 0) + step, 0), last)

    @on(Input.Changed)
    def _filter(self) -> None:
        self._fill()

    @on(Input.Submitted)
    def _take(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        if option is not None and option.id is not None:
            self.dismiss(option.id)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def _fill(self) -> None:
        rows = self.query_one(OptionList)
        title = self.query_one("#title", Static)
        title.update(elide(line(self._title), title.content_size.width))
        written = self.query_one(Input).value.strip()
        word = written.lstrip(_SIGNS + ":")
        kind = written[:1] if written[:1] in tuple(_SIGNS) else ""
        choices = [each for each in self._choices.values() if each.label.startswith(kind)]
        names = [choice.label.lstrip(_SIGNS + ":") for choice in choices]
        found = [choices[place] for place in rank(word, names)[:_MOST_SHOWN]]
        if not found and word and self._otherwise and (offer := self._otherwise(written)):
            found = [offer]
        width = max(self.query_one(Vertical).content_size.width - 3, 10)
        column = min(max((line(each.label).cell_length for each in found), default=0), width // 2)
        rows.set_options(
            Option(_row(each, column, width), id=each.key or None, disabled=not each.key)
            for each in found
        )
        if found:
            rows.highlighted = 0
        elif word:
            rows.add_option(Option("Nothing matches", disabled=True))


def _row(choice: Choice, column: int, width: int) -> Content:
    label = elide(line(choice.label), column)
    gap = " " * (column - label.cell_length + 2)
    note = line(choice.note, "$foreground 60%")
    return elide(Content.assemble(label, gap, note), width)
