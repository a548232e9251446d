"""The search screen: results with context, and a field for another query."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chat.client.model.search_query import HINT
from chat.client.model.state import Message
from chat.client.platform.local_time import local_time, local_zone, time_or_day
from chat.client.presenter.markdown import gist, plain_text
from chat.client.presenter.search import SearchContext, SearchSession
from chat.client.presenter.view import sentence
from chat.client.tui.choice_list import ChoiceList
from chat.client.tui.safe_text import elide, first_fitting, line, lines
from chat.client.tui.screens import NARROW
from chat.errors import ChatError
from chat.text import channel_title, printable_line

if TYPE_CHECKING:
    from chat.protocol.frames import Hit

__all__ = ["SearchScreen"]

_AUTHOR = 12
_LEAD = 24
"""Maximum characters of a row before the match."""
_AHEAD = 10
"""Rows from the end of the list at which more results are requested."""
_LOW = 20
"""Rows of the terminal below which blank lines are left out."""
_TINY = 16
"""Rows of the terminal below which the message around a result has two rows."""
_FOUND, _END = "\ue000", "\ue001"
"""Markers around matches while Markdown is removed."""
_SIGNS = re.compile(f"([{_FOUND}{_END}])")
_CODE = re.compile(
    r"^…? {0,3}(?:`{3}|~{3})[^`\n]*(?:\n|\Z)(.*?)(?:^ {0,3}(?:`{3}|~{3})[`~]* *(?:\n|\Z)|\Z)",
    re.MULTILINE | re.DOTALL,
)
"""A block of code; the group is the code between the fences."""
_MOMENT = 0.1
"""Seconds on a result before its context is requested."""
_KEYS = "Enter open   ↑ ↓ select   / edit search   Esc close", "Enter open  / edit  Esc close"
_FIELD_KEYS = ("Enter search   Esc close",)
_FIELD_KEYS_ABOVE_RESULTS = (
    "Enter search   ↓ results   Esc close", "Enter search  ↓ results  Esc close"
)  # fmt: skip
"""The keys, where there is room and in a narrow terminal."""


class SearchScreen(ModalScreen[tuple[str, int] | None]):
    """A search; returns the channel and seq of the message to show, or None.

    `is_by_key` is whether the message was chosen with a key.

    Args:
        finding: the latest search, possibly empty.
        me: the user's name.
        server: the server's title; empty if it is the only server.
    """

    DEFAULT_CSS = """
    SearchScreen {
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
        & Input, & Input:focus {
            border: none;
            height: 1;
            padding: 0 1;
            background: $surface;
        }
        & #summary { color: $text-muted; margin-bottom: 1; height: 1; padding: 0 1; }
        & ChoiceList { height: 1fr; }
        &.-outdated OptionList, &.-outdated VerticalScroll { text-opacity: 50%; }
        & VerticalScroll {
            height: 6;
            margin-top: 1;
            padding: 0 1;
            background: $surface;
            scrollbar-size-vertical: 1;
        }
        & #keys { height: 1; margin-top: 1; color: $text-muted; }
        &.-low VerticalScroll { height: 4; margin-top: 0; }
        &.-tiny VerticalScroll { height: 2; }
        &.-low #summary { margin-bottom: 0; }
        &.-low #keys { margin-top: 0; }
        &.-narrow > Vertical { width: 100%; max-width: 100%; }
    }
    """

    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", show=False),
        Binding("slash,alt+s", "refine", "Edit search", show=False),
    ]

    def __init__(self, finding: SearchSession, me: str, server: str = "") -> None:
        super().__init__()
        self._on_server = f" on {printable_line(server)}" if server else ""
        self._finding = finding
        self._me = me
        self._places: dict[int, int] = {}
        self._shown: Hit | None = None
        self.is_by_key = False

    def compose(self) -> ComposeResult:
        """Compose the field, the results, the full text of one result, and the keys."""
        with Vertical():
            yield Input(self._finding.query, placeholder=HINT, select_on_focus=False)
            yield Static(id="summary", markup=False)
            yield ChoiceList(markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(id="text", markup=False)
            yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        """Show the results, or focus the field if there are none."""
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        """Fit the rows to the width; leave more room for the list in a low terminal."""
        self.set_class(self.size.height < _LOW, "-low")
        self.set_class(self.size.height < _TINY, "-tiny")
        self.call_after_refresh(self._fill)
        self.call_after_refresh(self._show_keys)

    def action_refine(self) -> None:
        """Focus the field and select its text."""
        field = self.query_one(Input)
        field.focus()
        field.select_all()

    def on_mouse_down(self) -> None:
        """Note that the next choice is made with the mouse."""
        self.is_by_key = False

    def on_key(self, event: events.Key) -> None:
        """Move from the field to the list; a letter typed in the list starts a new query."""
        self.is_by_key = True
        field = self.query_one(Input)
        if event.key == "down" and field.has_focus and self._finding.hits:
            event.stop()
            self.query_one(OptionList).focus()
        elif event.is_printable and event.character and event.key not in self.active_bindings:
            event.stop()
            field.focus()
            field.value = event.character
            field.cursor_position = 1

    @on(events.DescendantFocus)
    def _show_keys(self) -> None:
        """Show the keys that work where the focus is."""
        field_keys = _FIELD_KEYS_ABOVE_RESULTS if self._finding.hits else _FIELD_KEYS
        keys = field_keys if self.query_one(Input).has_focus else _KEYS
        bar = self.query_one("#keys", Static)
        bar.update(first_fitting(bar.content_size.width, *keys))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        """Dim the results if they do not match the text in the field."""
        is_outdated = bool(self._finding.hits) and event.value != self._finding.query
        self.set_class(is_outdated, "-outdated")
        self.query_one("#summary", Static).update(self._summary())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.query_one("#summary", Static).update("Searching…")
        self.run_worker(self._begin(event.value), exclusive=True)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_id is None:
            return
        chosen = self._finding.chosen = int(event.option_id)
        hit = self._finding.hits[chosen]
        near = self._finding.known_near(hit)
        is_new, self._shown = hit is not self._shown, hit
        self._show_whole(hit, near or SearchContext())
        if near is None and is_new:
            self.set_timer(_MOMENT, partial(self._load_context, hit))
        if chosen >= len(self._finding.hits) - _AHEAD and not self._finding.is_complete:
            self.run_worker(self._more())

    @on(OptionList.OptionSelected)
    def _go(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            hit = self._finding.hits[int(event.option_id)]
            self.dismiss((hit.channel, hit.seq))

    def _load_context(self, hit: Hit) -> None:
        """Load the context of a result that is still selected."""
        if hit is self._shown:
            self.run_worker(self._fetch_context(hit))

    async def _fetch_context(self, hit: Hit) -> None:
        with suppress(ChatError):  # it is shown without context
            near = await self._finding.near(hit)
            if hit is self._shown:
                self._show_whole(hit, near)

    async def _begin(self, typed: str) -> None:
        try:
            await self._finding.begin(typed, self._me)
        except ChatError as exc:
            self.query_one("#summary", Static).update(line(sentence(str(exc)), "$text-warning"))
            return
        self._show()

    async def _more(self) -> None:
        try:
            if await self._finding.more():
                self._fill()
        except ChatError as exc:
            self.query_one("#summary", Static).update(line(sentence(str(exc)), "$text-warning"))

    def _show(self) -> None:
        self.remove_class("-outdated")
        self._fill()
        self.query_one(OptionList if self._finding.hits else Input).focus()
        self._show_keys()

    def _fill(self) -> None:
        if not self.is_mounted:
            return
        hits, rows = self._finding.hits, self.query_one(OptionList)
        width = max(rows.scrollable_content_region.width - 1, 20)
        options: list[Option] = []
        for number, hit in enumerate(hits):
            if number == 0 or hits[number - 1].channel != hit.channel:
                name = line(channel_title(hit.channel, self._me), "bold $text-primary")
                options.append(Option(elide(name, width), disabled=True))
            self._places[number] = len(options)
            options.append(Option(elide(_row(hit), width), id=str(number)))
        rows.set_options(options)
        self.query_one("#summary", Static).update(self._summary())
        if hits:
            rows.highlighted = self._places[self._finding.chosen]
        else:
            self.query_one("#text", Static).update("")

    def _show_whole(self, hit: Hit, near: SearchContext) -> None:
        """Show a message in full, with its channel, its time, and the messages around it."""
        when, text = local_time(hit.ts), self.query_one("#text", Static)
        width = self.query_one(VerticalScroll).scrollable_content_region.width
        place = f"{channel_title(hit.channel, self._me)}, {when.day} {when:%B %Y, %H:%M}"
        text.update(
            Content("\n").join(
                [
                    line(place, "$text-muted"),
                    _beside(near.before, width),
                    Content.assemble(line(hit.author, "bold"), ": ", *_marked(_as_read(hit), str)),
                    _beside(near.after, width),
                ]
            )
        )

    def _summary(self) -> str:
        count = len(self._finding.hits)
        if self.has_class("-outdated"):
            return f"Enter to search. Below: results for “{printable_line(self._finding.query)}”"
        if not self._finding.query:
            return f"Searches the channels you are in{self._on_server}."
        where = " on this computer (offline)" if self._finding.is_local else self._on_server
        if not count and self._finding.is_local:
            return f"No results{where}"
        if not count:
            return f"No message{where} has all these words. `thr*` finds words that begin with thr."
        messages = f"1 message{where}" if count == 1 else f"{count:,} messages{where}"
        if self._finding.is_local:
            return messages
        is_all = self._finding.is_complete
        return f"{messages}, newest first" if is_all else f"First {messages}; there are more"


def _beside(message: Message | None, width: int) -> Content:
    """Return the line for a message before or after the result; empty if there is none."""
    if message is None:
        return Content("")
    author = line(f"{message.author}: ", "$text-muted")
    return elide(Content.assemble(author, line(gist(message.text), "$text-muted")), width)


def _row(hit: Hit) -> Content:
    author = elide(line(hit.author, "bold"), _AUTHOR)
    text = _as_read(hit)
    first = max(text.find(_FOUND) - _LEAD, 0)
    if first:  # begin with a whole word
        first = text.find(" ", first, text.find(_FOUND)) + 1 or first
    lead = "…" if first else ""
    return Content.assemble(
        (f"{time_or_day(hit.ts, datetime.now(local_zone())):>9} ", "$text-muted"),
        author,
        " " * (_AUTHOR + 1 - author.cell_length),
        lead,
        *_marked(text[first:], printable_line),
    )


def _as_read(hit: Hit) -> str:
    """Return a snippet without Markdown's markers and fences, its matches between `_SIGNS`."""
    written = _SIGNS.sub("?", hit.snippet)  # a message may contain them
    signed, start = "", 0
    for first, last in zip(hit.marks[::2], hit.marks[1::2], strict=False):
        if start <= first <= last <= len(written):
            signed += f"{written[start:first]}{_FOUND}{written[first:last]}{_END}"
            start = last
    pieces = _CODE.split(signed + written[start:])
    pieces[::2] = map(plain_text, pieces[::2])  # the others are code
    return "".join(pieces).strip("\n")


def _marked(text: str, form: Callable[[str], str]) -> list[Content]:
    """Return a text with its matches highlighted."""
    parts, style = [], ""
    for piece in _SIGNS.split(text):
        if piece in (_FOUND, _END):
            style = "bold $text-accent" if piece == _FOUND else ""
        else:
            parts.append(lines(form(piece), style))
    return parts
