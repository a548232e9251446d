"""The inbox: unread messages of all channels, readable without marking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from chat.client.platform.local_time import local_zone, time_or_day
from chat.client.presenter.markdown import gist
from chat.client.presenter.navigation import Location
from chat.client.sync.inbox import Unread, Waiting
from chat.client.tui.choice_list import ChoiceList
from chat.client.tui.safe_text import elide, line, lines
from chat.client.tui.screens import NARROW
from chat.client.tui.screens.confirm import Confirm

__all__ = ["Inbox"]

_SIGNS = {"mention": "@", "reply": "↳", "thread": "↳", "direct": "", "message": ""}
_AUTHOR = 12
_LOW = 16
"""Rows of the terminal below which blank lines are left out."""
_DAY = 6
"""Width of a date without a year, in cells."""


class Inbox(ModalScreen[tuple[Location, int] | None]):
    """The unread messages; returns the channel and seq of the message to show, or None.

    Args:
        found: the unread messages by channel.
        title: returns the title of a channel.
        mark: marks a channel as read.
    """

    DEFAULT_CSS = """
    Inbox {
        align: center middle;
        background: $background 60%;

        & > Vertical {
            width: 100;
            max-width: 94%;
            height: 90%;
            padding: 0 1;
            background: $panel;
            border-top: tall $primary;
        }
        & #title { text-style: bold; margin-bottom: 1; }
        & ChoiceList { height: 1fr; }
        & VerticalScroll {
            height: auto;
            min-height: 1;
            max-height: 25%;
            margin-top: 1;
            padding: 0 1;
            background: $surface;
            scrollbar-size-vertical: 1;
        }
        & #keys { margin-top: 1; color: $text-muted; }
        &.-low > Vertical { height: 100%; }
        &.-low #title { margin-bottom: 0; }
        &.-low VerticalScroll, &.-low #keys { margin-top: 0; }
        &.-narrow > Vertical { width: 100%; max-width: 100%; }
    }
    """

    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close", show=False),
        Binding("j", "move('down')", "Down", show=False),
        Binding("k", "move('up')", "Up", show=False),
        Binding("r", "mark", "Mark the channel as read", show=False),
        Binding("A", "mark_all", "Mark everything as read", show=False),
    ]

    def __init__(
        self,
        found: Mapping[Location, Unread],
        title: Callable[[Location], str],
        mark: Callable[[Location], None],
    ) -> None:
        super().__init__()
        self._found = dict(found)
        self._title = title
        self._mark = mark
        self._rows: dict[str, tuple[Location, Waiting]] = {}

    def compose(self) -> ComposeResult:
        """Compose the list, the full text of a message, and the keys."""
        with Vertical():
            yield Static("Inbox", id="title", markup=False)
            yield ChoiceList(markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(id="text", markup=False)
            keys = "Enter open   r mark channel as read   A mark all as read   Esc close"
            yield Static(keys, id="keys", markup=False)

    def on_mount(self) -> None:
        """Show the unread messages."""
        self.call_after_refresh(self._fill, 0)

    def on_resize(self, event: events.Resize) -> None:
        """Leave more room for the list in a low terminal."""
        self.set_class(event.size.height < _LOW, "-low")

    def action_move(self, direction: str) -> None:
        """Select another message."""
        getattr(self.query_one(OptionList), f"action_cursor_{direction}")()

    def action_mark(self) -> None:
        """Mark the channel of the selected message as read."""
        option = self.query_one(OptionList).highlighted_option
        if option is not None and option.id in self._rows:
            location, _ = self._rows[option.id]
            self._mark(location)
            del self._found[location]
            self._fill(self.query_one(OptionList).highlighted or 0)

    def action_mark_all(self) -> None:
        """Ask, then mark all listed channels as read."""

        def answered(is_agreed: bool | None) -> None:
            if is_agreed:
                for location in self._found:
                    self._mark(location)
                self.dismiss(None)

        count = sum(len(each.waiting) + each.earlier for each in self._found.values())
        messages = "1 message" if count == 1 else f"{count:,} messages"
        channels = "1 channel" if len(self._found) == 1 else f"{len(self._found):,} channels"
        what = f"{messages} in {channels}"
        self.app.push_screen(Confirm("Mark all channels as read?", what), answered)

    @on(OptionList.OptionHighlighted)
    def _show_text(self, event: OptionList.OptionHighlighted) -> None:
        _, chosen = self._rows.get(event.option_id or "", (None, None))
        self.query_one("#text", Static).update(lines(chosen.message.text) if chosen else "")

    @on(OptionList.OptionSelected)
    def _go(self, event: OptionList.OptionSelected) -> None:
        location, chosen = self._rows[event.option_id or ""]
        if chosen.message.seq is not None:
            self.dismiss((location, chosen.message.seq))

    def _fill(self, chosen: int) -> None:
        if not self._found:
            self.dismiss(None)
            return
        rows = self.query_one(OptionList)
        width = max(rows.scrollable_content_region.width - 1, 20)
        listed = [each.message.ts for unread in self._found.values() for each in unread.waiting]
        column = max([_DAY, *(len(_when(ts)) for ts in listed)])
        self._rows = {}
        options: list[Option] = []
        for location, unread in self._found.items():
            if options:
                options.append(Option("", disabled=True))
            options.append(Option(elide(self._heading(location, unread), width), disabled=True))
            for waiting in unread.waiting:
                key = str(len(self._rows))
                self._rows[key] = location, waiting
                options.append(Option(elide(_row(waiting, column), width), id=key))
        rows.set_options(options)
        place = min(chosen, len(options) - 1)
        near = sorted(range(len(options)), key=lambda at: (at < place, abs(at - place)))
        rows.highlighted = next(at for at in near if not options[at].disabled)
        rows.focus()

    def _heading(self, location: Location, unread: Unread) -> Content:
        name = line(self._title(location), "bold $text-primary")
        more = f", and {unread.earlier:,} earlier" if unread.earlier else ""
        return Content.assemble(name, (f"  {len(unread.waiting):,}{more}", "$text-muted"))


def _row(waiting: Waiting, column: int) -> Content:
    message = waiting.message
    author = elide(line(message.author, "bold"), _AUTHOR)
    gap = " " * (_AUTHOR + 1 - author.cell_length)
    return Content.assemble(
        (f"{_SIGNS[waiting.why]:1} ", "bold $text-accent"),
        (f"{_when(message.ts):>{column}} ", "$text-muted"),
        author,
        gap,
        line(gist(message.text)),
    )


def _when(ts: int) -> str:
    return time_or_day(ts, datetime.now(local_zone()))
