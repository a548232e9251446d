"""The timeline: messages of a channel, a cursor on them, and a rule above what is unread."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Offset
from textual.reactive import reactive
from textual.selection import Selection

from chat.client.state import Message, TimelineChanged
from chat.client.tui.timeline import messages
from chat.client.tui.timeline.around import Joins
from chat.client.tui.timeline.canvas import Canvas
from chat.client.tui.timeline.cursor import may, nearest, next_mention, stands_on
from chat.client.tui.timeline.keys import KEYS
from chat.client.tui.timeline.pointing import asked_by
from chat.client.tui.timeline.selection import row_number, selected_text
from chat.client.tui.timeline.sheet import Row
from chat.client.tui.timeline.unread import first_unread, is_live

__all__ = ["Timeline"]


class Timeline(Canvas, can_focus=True, inherit_bindings=False):
    """Shows the messages of one channel, and which of them are unread.

    With the focus, the arrow keys move a cursor from message to message, and letters do something
    with the one under it. A mouse never gives it the focus: after a click, letters are still typed.
    """

    FOCUS_ON_CLICK = False
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    unread_from: reactive[int | None] = reactive(None, repaint=False, init=False)
    """The unread rule stands above the first message of somebody else with this seq or higher."""

    OlderWanted = messages.OlderWanted
    GapWanted = messages.GapWanted
    Seen = messages.Seen
    Selected = messages.Selected
    ActionRequested = messages.ActionRequested
    LinkClicked = messages.LinkClicked

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.joins: Joins = "all"
        """Whose coming and going is told."""
        self._channel = ""

    # What comes from above

    def show(self, channel: str, user: str, *, read: int, thread: int | None = None) -> None:
        """Show another channel, empty until `apply` brings lines; `read` is the read marker.

        With `thread`, the root of one, what it is brought is that thread alone.
        """
        self._channel = channel
        self._begin(user, thread, self.joins)
        self._set_cursor(None)
        self.unread_from = read + 1

    def apply(self, change: TimelineChanged) -> None:
        """Take in lines that are new or changed."""
        if change.channel != self._channel:
            return
        log = self._sheet.log
        first, is_watched = log.first_seq, self._is_watched(change)
        renamed = self._sheet.apply(change)
        if (key := self._frame.cursor) is not None:
            self._frame.cursor = renamed.get(key, key)
        if change.reset or log.first_seq != first or change.complete is not None:
            self._news.ask_older_again()
        if change.reset or change.gap_before is not None:
            self._news.ask_gaps_again()
        if is_watched and log.last_seq is not None:
            self.unread_from = log.last_seq + 1
        self._place_unread_rule()
        self._update_soon()

    def choose(self, seq: int) -> bool:
        """Bring a message into view, with the cursor on it; False if it is not loaded."""
        if not self.scroll_to_seq(seq):
            return False
        self._set_cursor(self._sheet.log.find(seq))
        self._update()  # now: what shows on the way there has not been read
        return True

    def mention(self, step: int) -> int | None:
        """Return the mention of the reader next to the cursor, or to what shows."""
        log, window = self._sheet.log, self._sheet.window
        at = self._cursor_at
        if at is None:
            at = window.last + 1 if step < 0 else window.first - 1
        return next_mention(log, at, step, self._user)

    @property
    def cursor(self) -> Message | None:
        """The message under the cursor, if there is a cursor."""
        index = self._cursor_at
        return None if index is None else self._sheet.log[index]

    @property
    def _cursor_at(self) -> int | None:
        key = self._frame.cursor
        return None if key is None else self._sheet.log.find(key)

    @property
    def unread_seq(self) -> int | None:
        """The message under the unread rule, for `scroll_to_seq`."""
        key = self._sheet.unread
        return key if isinstance(key, int) else None

    def _is_watched(self, change: TimelineChanged) -> bool:
        """Whether lines arrive under the eyes of one who has read what is above them."""
        return (
            self.unread_from is not None
            and self._sheet.log.index_from(self.unread_from) > 0
            and self._sheet.unread is None
            and self.at_bottom
            and self.app.app_focus
            and is_live(change)
        )

    def watch_unread_from(self) -> None:
        """Move the unread rule."""
        self._place_unread_rule()
        self._update_soon()

    def _place_unread_rule(self) -> None:
        seq = self.unread_from
        log = self._sheet.log
        self._sheet.unread = None if seq is None else first_unread(log, seq, self._user)

    def _lay_out(self) -> list[int]:
        if self._frame.cursor is not None and self._cursor_at is None:
            self._set_cursor(None)
        return super()._lay_out()

    # The cursor

    def action_end(self, direction: int) -> None:
        """Go to the oldest line that is loaded, or to the newest; the cursor goes along."""
        log = self._sheet.log
        if self._frame.cursor is not None:
            start = 0 if direction < 0 else len(log) - 1
            self._set_cursor(nearest(log, start, -direction))
        if direction > 0:
            self.jump_to_bottom()
        else:
            self._sheet.show_top()
            self._update_soon()

    def action_cursor(self, step: int) -> None:
        """Move the cursor; the first step puts it on the last message that shows."""
        log, window = self._sheet.log, self._sheet.window
        at = self._cursor_at
        index = nearest(log, window.last, -1) if at is None else nearest(log, at + step, step)
        if index is None:
            self._scroll(step)
            return
        self._set_cursor(index)
        self._sheet.reveal(index)
        self._update()

    def action_leave(self) -> None:
        """Put the cursor away."""
        self._set_cursor(None)

    def action_act(self, name: str) -> None:
        """Ask for something to be done with the message under the cursor."""
        message = self.cursor
        action = None if message is None else may(name, message, self._user)
        if message is None or action is None:
            self.app.bell()
        else:
            self.post_message(self.ActionRequested(action, message))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the letters to others while there is no cursor."""
        return self._frame.cursor is not None if action in ("act", "leave") else True

    def _set_cursor(self, index: int | None) -> None:
        key = None if index is None else self._sheet.log.key(index)
        if key == self._frame.cursor:
            return
        self._paint(self._frame.move_cursor(key))
        self.post_message(self.Selected(self, self.cursor))
        self.refresh_bindings()

    # The mouse

    def on_click(self, event: events.Click) -> None:
        """Follow a link, do what a word offers, or put the cursor on a message.

        Twice: select the message's text. A click that follows or does something ends here.
        """
        event.prevent_default()
        row = self._frame.row(event.y)
        asked = asked_by(event.style, row.message if row is not None else None)
        if event.chain == 2 and row is not None:
            self._select_message(row)
        elif self.text_selection is not None:
            return
        elif asked is not None:
            event.stop()
            self.post_message(asked)
        else:
            self._set_cursor(row.at if row is not None and stands_on(row.message) else None)

    def _select_message(self, row: Row) -> None:
        lines, block = row.block.lines, row.block
        first = row_number(row._replace(number=block.lead))
        last = row_number(row._replace(number=len(lines) - 1))
        selection = Selection(Offset(0, first), Offset(len(lines[-1].text), last))
        self.screen.selections = {self: selection}

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show the time of the message under the mouse."""
        row = self._frame.row(event.y)
        self._paint(self._frame.hover(None if row is None else row.key))

    def on_leave(self) -> None:
        """Hide the time again."""
        self._paint(self._frame.hover(None))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text, as it was written rather than as it is wrapped."""
        return selected_text(self._sheet, selection), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Paint what is selected now."""
        self.refresh()
