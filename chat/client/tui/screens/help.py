"""Help: the keys as they are bound now, and the slash commands, from their registries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from chat.client.slash import COMMANDS
from chat.client.tui.keys import KeyRow

__all__ = ["HelpScreen"]

_COLUMN = 25


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
        parts: list[Content] = []
        for group in dict.fromkeys(row.group for row in self._keys):
            parts.append(Content.styled(group, "bold $text-primary"))
            found = [row for row in self._keys if row.group == group]
            parts += _table([(", ".join(row.keys), row.help, row.id) for row in found], _COLUMN)
            parts.append(Content(""))
        parts.append(Content.styled("Commands", "bold $text-primary"))
        parts += _table([(row.usage, row.help, "") for row in COMMANDS], _COLUMN)
        parts += [
            Content(""),
            Content("Two slashes send a text that begins with one. Esc closes this page."),
            Content("What stands pale beside a key is its name in [keys] of client.toml."),
        ]
        return Content("\n").join(parts)


def _table(rows: list[tuple[str, str, str]], column: int) -> list[Content]:
    return [
        Content.assemble(
            "  ",
            (left.ljust(column), "bold"),
            " ",
            (middle, "$foreground 80%"),
            ("  " if right else "", ""),
            (right, "$foreground 45%"),
        )
        for left, middle, right in rows
    ]
