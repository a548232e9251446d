"""Help: key bindings and slash commands, from their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chat.client.model.slash.commands import available
from chat.client.tui.keymap import KeyRow, together
from chat.client.tui.safe_text import first_fitting
from chat.client.tui.screens import NARROW

__all__ = ["HelpScreen"]

_ESSENTIAL = (
    "composer.send",
    "composer.new_line",
    "channel.switch, palette",
    "channel.1 … channel.9",
    "channel.unread",
    "timeline.focus",
    "reading.search",
    "reading.inbox",
    "help",
    "quit",
)
"""Ids of the essential keys."""
_WIDTH = 84
"""Most columns that the text and its margins take."""
_KEYS, _USAGE = 16, 25
"""Widths of the left column; wider entries get a separate line."""


class HelpScreen(ModalScreen[None]):
    """Keys and commands in one scrolling page with a filter, the essential keys first."""

    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        background: $background 60%;

        & > Vertical {
            width: 84;
            max-width: 96%;
            height: 90%;
            padding: 0 0 0 2;
            background: $panel;
            border-top: tall $primary;
        }
        & Input, & Input:focus {
            display: none;
            border: none;
            height: 1;
            padding: 0;
            margin: 0 2 1 0;
            background: $surface;
        }
        & VerticalScroll {
            height: 1fr;
            scrollbar-size-vertical: 1;
        }
        & #page { height: auto; }
        & #keys { height: 1; color: $text-muted; }
        &.-narrow > Vertical { width: 100%; max-width: 100%; }
    }
    """

    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False),
        Binding("q,f1,enter", "dismiss(None)", "Close", show=False),
        Binding("slash", "filter", "Filter", show=False),
        Binding("n", "toggle_names", "Show or hide action names", show=False),
        Binding("down", "scroll(1)", "Down", show=False),
        Binding("up", "scroll(-1)", "Up", show=False),
        Binding("pagedown", "scroll(10)", "Further down", show=False),
        Binding("pageup", "scroll(-10)", "Further up", show=False),
    ]

    def __init__(self, keys: Sequence[KeyRow], *, is_admin: bool = False) -> None:
        super().__init__()
        self._commands = available(is_admin=is_admin)
        self._keys = together(keys)
        self._has_names = False

    def compose(self) -> ComposeResult:
        """Lay out the filter, the page and its keys."""
        with Vertical():
            yield Input(placeholder="Filter keys and commands", compact=True)
            with VerticalScroll():
                yield Static(id="page", markup=False)
            yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        """Focus the page."""
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        """Fit the page to the width."""
        self._draw()

    def action_filter(self) -> None:
        """Show and focus the filter."""
        field = self.query_one(Input)
        field.display = True
        self.set_focus(field)  # `focus()` would run after pending keys

    def action_leave(self) -> None:
        """Close the filter; without one, the page."""
        field = self.query_one(Input)
        if not field.display:
            self.dismiss(None)
            return
        field.display = False
        field.value = ""
        self.set_focus(self.query_one(VerticalScroll))

    def action_toggle_names(self) -> None:
        """Show or hide the action names."""
        self._has_names = not self._has_names
        self._draw()

    def action_scroll(self, rows: int) -> None:
        """Scroll the page while the filter has the focus."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    @on(Input.Changed)
    def _filter(self) -> None:
        self._draw()
        self.query_one(VerticalScroll).scroll_home(animate=False)

    @on(Input.Submitted)
    def _look_through(self) -> None:
        self.set_focus(self.query_one(VerticalScroll))

    def _draw(self) -> None:
        self.query_one("#page", Static).update(self._page(self.query_one(Input).value))
        self._draw_keys()

    @on(events.DescendantFocus)
    def _draw_keys(self) -> None:
        """Show the keys that work with the current focus."""
        field = self.query_one(Input)
        closing = "close filter" if field.display else "close"
        keys = "/ filter", "n action names", f"Esc {closing}"
        if field.has_focus:
            keys = "↑ ↓ scroll", "Enter page", "Esc close filter"
        bar = self.query_one("#keys", Static)
        text = first_fitting(bar.content_size.width, "   ".join(keys), "  ".join(keys))
        bar.update(text)

    def _page(self, written: str) -> Content:
        room = min(_WIDTH, self.app.size.width) - 4
        words = written.casefold().split()
        essential = [
            replace(row, keys=row.keys[:1])
            for name in _ESSENTIAL
            for row in self._keys
            if row.id == name
        ]
        groups = {} if words else {"Essential keys": essential}
        for row in self._keys:
            if _fits(words, *row.keys, row.help, row.id, row.group):
                groups.setdefault(row.group, []).append(row)
        commands = [
            row
            for row in self._commands
            if _fits(words, row.usage, *row.aliases, *row.keywords, row.help)
        ]
        parts: list[Content] = []
        for group, rows in groups.items():
            cells = [
                (", ".join(row.keys), row.help, row.id if self._has_names else "") for row in rows
            ]
            parts += [_heading(group), *_table(cells, _KEYS, room), Content("")]
        if commands:
            cells = [(row.usage, row.help, "") for row in commands]
            if any("NUMBER" in row.usage for row in commands):
                cells.insert(
                    0,
                    (
                        "NUMBER",
                        "the number after “No.” in the bottom bar, for a selected message",
                        "",
                    ),
                )
            parts += [_heading("Commands"), *_table(cells, _USAGE, room), Content("")]
        if not parts:
            return Content("No matches")
        if not words:
            parts.append(Content("Start with // to send a message that begins with a slash."))
        if self._has_names:
            parts.append(Content("The dim name is the action name for [keys] in client.toml."))
        return Content("\n").join(parts)


def _fits(words: Sequence[str], *texts: str) -> bool:
    """Whether each of `words` is in one of `texts`."""
    text = " ".join(texts).casefold()
    return all(word in text for word in words)


def _heading(text: str) -> Content:
    return Content.styled(text, "bold $text-primary")


def _table(rows: Sequence[tuple[str, str, str]], column: int, room: int) -> list[Content]:
    """Return rows of three columns, each wrapped in its column, the last at the right."""
    column = min(column, room * 2 // 5)
    lines: list[Content] = []
    for left, middle, right in rows:
        parts = wrap(middle, max(1, room - column - 3))
        if len(left) > column:
            lines.append(Content.assemble("  ", (left, "bold")))
            left = ""
        if right and len(parts[-1]) + len(right) + 2 > room - column - 3:
            parts.append("")
        for part in parts:
            space = room - column - 3 - len(part)
            name = right.rjust(space) if part is parts[-1] else ""
            lines.append(
                Content.assemble(
                    "  ",
                    (left.ljust(column), "bold"),
                    " ",
                    (part, "$text-muted"),
                    (name, "$text-muted"),
                )
            )
            left = ""
    return lines
