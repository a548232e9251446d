"""Help: key bindings and slash commands, from their tables."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from chat.client.model.slash.commands import COMMANDS
from chat.client.tui.keymap import KeyRow, together

__all__ = ["HelpScreen"]

_KEYS, _USAGE = 16, 25
"""Widths of what stands on the left; what is wider has a line of its own."""


class HelpScreen(ModalScreen[None]):
    """Keys and commands in one scrolling page."""

    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        background: $background 60%;

        & > VerticalScroll {
            width: 84;
            max-width: 96%;
            height: 90%;
            padding: 0 0 0 2;
            background: $panel;
            border-top: tall $primary;
            scrollbar-size-vertical: 1;
        }
        & Static {
            height: auto;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,enter", "dismiss(None)", "Close", show=False),
    ]

    def __init__(self, keys: Sequence[KeyRow]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        with VerticalScroll():
            yield Static(self._page(), markup=False)

    def _page(self) -> Content:
        room = min(84, self.app.size.width * 96 // 100) - 4
        parts: list[Content] = []
        for group in dict.fromkeys(row.group for row in self._keys):
            found = together([row for row in self._keys if row.group == group])
            parts.append(Content.styled(group, "bold $text-primary"))
            parts += _table([(", ".join(row.keys), row.help, row.id) for row in found], _KEYS, room)
            parts.append(Content(""))
        parts.append(Content.styled("Commands", "bold $text-primary"))
        parts += _table([(row.usage, row.help, "") for row in COMMANDS], _USAGE, room)
        parts += [
            Content(""),
            Content("Start with // to send a message that begins with a slash."),
            Content("The dim name is the key's name in [keys] of client.toml."),
        ]
        return Content("\n").join(parts)


def _table(rows: Sequence[tuple[str, str, str]], column: int, room: int) -> list[Content]:
    """Return rows of three columns: what is wrapped stays in its own, the last is at the right."""
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
                    (part, "$foreground 80%"),
                    (name, "$foreground 45%"),
                )
            )
            left = ""
    return lines
