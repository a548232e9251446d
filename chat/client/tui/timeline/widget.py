"""The timeline: a virtualized list of messages with a cursor and an unread rule.

A timeline at the bottom follows new messages. Elsewhere the visible text stays in place when
messages arrive or change, and when the widget is resized.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message as TextualMessage
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from chat.client.model.state import Delivery, Message
from chat.client.presenter.log import Log, Splices
from chat.client.tui.keymap import TIMELINE_KEYS
from chat.client.tui.timeline import messages
from chat.client.tui.timeline.messages import (
    ActionRequested,
    LettersTyped,
    LinkClicked,
    ReactionClicked,
    WindowEvents,
)
from chat.client.tui.timeline.neighbors import Folding, Joins, shows_all
from chat.client.tui.timeline.painter import Frame, Painter, row_number, selected_text
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.renderer import Renderer
from chat.client.tui.timeline.viewport import Row, Viewport
from chat.text import fold

__all__ = ["Canvas", "Place", "Timeline", "asked_by", "may", "nearest", "stands_on"]


def asked_by(
    style: Style, message: Message | None, thread: int | None = None
) -> TextualMessage | None:
    """Return the message to post for a click on text of `style`, if it is a link or an action."""
    url = style.meta.get("url")
    if isinstance(url, str):
        return LinkClicked(url)
    emoji = style.meta.get("emoji")
    if message is not None and isinstance(emoji, str):
        return ReactionClicked(emoji, message)
    action = style.meta.get("action")
    if message is not None and isinstance(action, str):
        return ActionRequested(action, message, thread)
    if message is not None and "thread" in style.meta:
        return ActionRequested("thread", message, thread)
    return None


_STANDS_ON = frozenset({"message", "tick"})


def stands_on(message: Message) -> bool:
    """Whether the cursor can be on `message`; it skips events."""
    return message.kind in _STANDS_ON


def nearest(log: Log, index: int, step: int) -> int | None:
    """Return the first index from `index`, in steps of `step`, where the cursor can be."""
    while 0 <= index < len(log):
        if stands_on(log[index]):
            return index
        index += step
    return None


def may(name: str, message: Message, user: str) -> str | None:
    """Return the action that `name` stands for on a message; None if it does not apply.

    An unsent message can only be copied, discarded, or retried if it failed. The server checks the
    permission to delete other people's messages.
    """
    if name == "author":
        is_other = message.kind == "message" and fold(message.author) != fold(user)
        return name if is_other else None
    if name == "copy":
        return None if message.deleted else name
    if name == "thread" and message.seq is not None:
        return name if message.kind == "message" else None
    if message.delivery is not Delivery.SENT:
        if name == "reply":
            return "retry" if message.delivery is Delivery.FAILED else None
        return name if name == "discard" else None
    if message.seq is None or message.deleted or message.kind != "message" or name == "discard":
        return None
    if name == "edit":
        return name if fold(message.author) == fold(user) else None
    return name


_AIRY_FROM = 30  # rows of a terminal in which blank lines separate groups
_WHEEL = 3


class Place(NamedTuple):
    """A scroll position: `offset` rows below the start of the text of message `seq`."""

    seq: int
    offset: int


_MOVES = frozenset({"message.previous", "message.next"})

_CURSOR_BAR, _MARK_BAR = "▌", "▏"
"""Bars beside the message under the cursor, with and without the focus."""


class Canvas(ScrollView, inherit_bindings=False):
    """A scroll view of messages that lays out and paints only visible ones.

    Subclasses change `_sheet` and then call `_update_soon` or `_update`.
    """

    DEFAULT_CSS = """
    Canvas {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-color: $foreground 15%;
        scrollbar-color-hover: $foreground 30%;
        scrollbar-color-active: $primary;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    """

    at_bottom: reactive[bool] = reactive(True, repaint=False)
    """Whether the newest message is visible."""
    below: reactive[int | None] = reactive(None, repaint=False)
    """Number of messages below the last visible one; None: the newest message is visible."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._user = ""
        self._thread: int | None = None
        self._palette = Palette()
        self.people: tuple[str, ...] = ()
        """The members of the channel; see `name_people`."""
        self._stale_styles = True
        self._is_folded: Folding = shows_all
        self._sheet = Viewport(Log(), self._make_renderer())
        self._frame = Frame(self._sheet.renderer)
        self._window_events = WindowEvents()
        self._update_due = False
        self._laid_out = Size()

    def _begin(self, log: Log, user: str, thread: int | None, joins: Joins) -> None:
        """Show another log for `user`; `thread` is the root of a thread, None for a channel."""
        self._user, self._thread = user, thread
        self._sheet = Viewport(log, self._make_renderer(), self.size.height, joins, self._is_folded)
        self._window_events = WindowEvents()
        self._update_soon()

    @property
    def user(self) -> str:
        """The reader."""
        return self._user

    @property
    def thread(self) -> int | None:
        """The root of the shown thread; None for a channel."""
        return self._thread

    @property
    def shown(self) -> Log:
        """The shown log, owned by the conversation's state."""
        return self._sheet.log

    def name_people(self, people: tuple[str, ...]) -> None:
        """Set the members of the channel, who get different colors."""
        if people != self.people:
            self.people, self._stale_styles = people, True
            self._update_soon()

    # Scroll position

    def scroll_to_seq(self, seq: int) -> bool:
        """Scroll to a message; return False if it is not loaded."""
        index = self.shown.find(seq)
        if index is None:
            return False
        self._sheet.show(index, above=self._sheet.height // 3)
        self._update()  # now: messages that show on the way there are not read
        return True

    def jump_to_bottom(self) -> None:
        """Scroll to the newest message, and follow new ones."""
        self._sheet.anchor = None
        self._update_soon()

    @property
    def place(self) -> Place | None:
        """The scroll position, for `show`; None at the bottom."""
        if self._sheet.anchor is None:
            return None
        key, offset = self._sheet.anchor
        return Place(key, offset) if isinstance(key, int) and key > 0 else None

    @property
    def seen(self) -> int | None:
        """The highest visible seq."""
        return self._window_events.seen

    def back_from_here(self) -> Iterator[Message]:
        """Return the loaded messages, from the last visible one back to the oldest."""
        log = self.shown
        return (log[at] for at in range(min(self._sheet.window.last, len(log) - 1), -1, -1))

    # Layout

    def _make_renderer(self) -> Renderer:
        airy = self.is_attached and self.app.size.height >= _AIRY_FROM
        width = self.size.width or 80
        return Renderer(self._palette, self._user, width, airy=airy, thread=self._thread)

    def _make_painter(self) -> Painter:
        selection = self.screen.get_component_rich_style("screen--selection")
        is_marked_only = self._frame.cursor is not None and not self.has_focus
        bar = _MARK_BAR if is_marked_only else _CURSOR_BAR
        return Painter(self._sheet.renderer, self.rich_style, selection, bar)

    def _update_soon(self) -> None:
        if not self._update_due:
            self._update_due = True
            self.call_next(self._update)

    def _update(self) -> None:
        """Lay out, and repaint the rows that changed."""
        self._update_due = False
        if self.size and self.is_attached:
            self._paint(self._lay_out())

    def _lay_out(self) -> list[int]:
        """Lay out the window; return the screen lines that changed."""
        self._laid_out = self.size
        self._restyle()
        window = self._sheet.settle()
        changed = self._frame.take(self._sheet.rows, self.size.height, self._make_painter())
        total = max(window.total, self.size.height)
        if self.virtual_size != (self.size.width, total):
            self.set_reactive(Widget.virtual_size, Size(self.size.width, total))
            self.vertical_scrollbar.window_virtual_size = total
        self.set_scroll(None, window.top)
        self.set_reactive(Widget.scroll_target_y, float(window.top))
        self.vertical_scrollbar.position = window.top
        self.at_bottom = window.at_end
        hidden = len(self.shown) - 1 - window.last
        self.below = None if window.at_end else hidden
        for event in self._window_events.posts(self._sheet):
            self.post_message(event)
        return changed

    def _restyle(self) -> None:
        """Apply the width, theme and reader if they changed."""
        if self._stale_styles:
            self._stale_styles = False
            palette = Palette.of(self, self.people)
            self._palette = self._palette if palette == self._palette else palette
        renderer, height = self._make_renderer(), self.size.height
        if renderer != self._sheet.renderer or height != self._sheet.height:
            self._sheet.restyle(renderer, height)

    def notify_style_update(self) -> None:
        """Resolve the styles at the next layout."""
        super().notify_style_update()
        self._stale_styles = True
        if self.is_attached:
            self._update_soon()

    def render_line(self, y: int) -> Strip:
        """Return the strip of a screen line."""
        return self._frame.strip(y, self.text_selection)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the strips of the screen lines in `crop`.

        Textual's cache is bypassed: it is keyed by screen line, so scrolling invalidates it, and
        with it a new message takes four times as long to show.
        """
        if self._laid_out != self.size:  # Textual paints a new size before it sends Resize
            self._paint(y for y in self._lay_out() if y not in crop.line_range)
        strips = [self.render_line(y) for y in crop.line_range]
        ground = self.background_colors[1]
        for each in self.get_line_filters():
            strips = [strip.apply_filter(each, ground) for strip in strips]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def _paint(self, lines: Iterable[int]) -> None:
        width = self.size.width
        if regions := [Region(0, y, width, 1) for y in lines]:
            self.refresh(*regions)

    # Scrolling

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scroll to the row that the scrollbar or another caller set.

        A change that Textual makes for a new size is ignored: the layout for that size follows.
        """
        super().watch_scroll_y(old_value, new_value)
        if self._laid_out == self.size and round(new_value) != self._sheet.window.top:
            self._sheet.scroll_to(round(new_value))
            self._update()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._update()

    def turn(self, steps: int) -> None:
        """Scroll by turns of the mouse wheel, up if negative."""
        self._scroll(steps * _WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self._wheel(event, -_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self._wheel(event, _WHEEL)

    def _wheel(self, event: events.MouseEvent, rows: int) -> None:
        event.prevent_default()
        event.stop()
        self._scroll(rows)

    def _scroll(self, rows: int) -> None:
        if rows < 0 and self._sheet.window.top == 0:
            self._window_events.ask_older_again()
        self._sheet.scroll_to(self._sheet.window.top + rows)
        self._update()

    def action_page(self, direction: int) -> None:
        """Scroll one page, with two rows of overlap."""
        self._scroll(direction * max(1, self.size.height - 2))


class Timeline(Canvas, can_focus=True, inherit_bindings=False):
    """The messages of a channel or a thread, with an unread rule and a cursor.

    With the focus, the arrow keys move the cursor between messages. A letter acts on the message
    under it after a short pause; if another letter follows within it, both are text for the
    composer, so that no word loses its first letter. Letters that move the cursor do not wait, but
    are text as well if another letter follows.
    A click does not focus the timeline: the composer keeps the focus.
    """

    FOCUS_ON_CLICK = False
    BINDINGS: ClassVar[list[BindingType]] = TIMELINE_KEYS

    unread_from: reactive[int | None] = reactive(None, repaint=False, init=False)
    """Lowest seq of unread messages; the rule is above the first one by another author."""

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
        self._fold: tuple[Folding, int] = (shows_all, 0)
        self.joins: Joins = "all"
        """The joins and leaves to show, from the next `show` on."""
        self.letter_pause = 0.25
        """Seconds without another letter after which a letter acts on the message."""
        self._letter: events.Key | None = None
        """A letter that acts on the message under the cursor after a pause."""
        self._moves: list[events.Key] = []
        """The latest letters that moved the cursor, without a pause between them."""
        self._pause: Timer | None = None

    # Messages

    def show(
        self,
        log: Log,
        user: str,
        *,
        read: int,
        thread: int | None = None,
        place: Place | None = None,
    ) -> None:
        """Show another log; the caller passes each of its changes to `apply`.

        Args:
            log: the messages of a channel or of a thread.
            user: the reader.
            read: the channel's read marker.
            thread: the root of the thread; None for a channel.
            place: the scroll position, or the nearest loaded message; None: the bottom.
        """
        self._begin(log, user, thread, self.joins)
        self._sheet.anchor = place
        self._set_cursor(None)
        self.unread_from = read + 1

    def apply(self, done: Splices) -> bool:
        """Apply a change of the shown log; return False if it belongs to another log."""
        change, log = done.change, self.shown
        if done.log is not log:
            return False
        is_watched = self._is_watched(done)
        self._sheet.apply(done)
        if (key := self._frame.cursor) is not None:
            self._frame.cursor = done.renamed.get(key, key)
        if change.reset or log.first_seq != done.first_before or change.complete is not None:
            self._window_events.ask_older_again()
        if change.reset or change.gap_before is not None:
            self._window_events.ask_gaps_again()
        if is_watched and log.last_seq is not None:
            self.unread_from = log.last_seq + 1
        self._place_unread_rule()
        self._update_soon()
        return True

    def note(self, is_folded: Folding, version: int, waiting: Mapping[int, int]) -> None:
        """Fold messages of ignored users, and count unread replies.

        Args:
            is_folded: whether a message is to be folded.
            version: another number whenever `is_folded` may return something else.
            waiting: the numbers of unread replies by the root of their thread.
        """
        if (is_folded, version) != self._fold:
            self._fold, self._is_folded = (is_folded, version), is_folded
            self._sheet.refold(is_folded)
            self._place_unread_rule()
            self._update_soon()
        if waiting != self._sheet.waiting:
            self._sheet.waiting = waiting
            self._update_soon()

    def choose(self, seq: int) -> bool:
        """Move the cursor to a message and scroll to it; return False if it is not loaded."""
        if not self.scroll_to_seq(seq):
            return False
        self._set_cursor(self.shown.find(seq))
        self._update()  # now, so that messages in between are not reported as seen
        return True

    def mention(self, step: int) -> int | None:
        """Return the next mention of the reader from the cursor, or from the window, by `step`."""
        log, window = self.shown, self._sheet.window
        at = self._cursor_at
        if at is None:
            at = window.last + 1 if step < 0 else window.first - 1
        return log.next_mention(at, step, self._user, self._is_folded)

    @property
    def cursor(self) -> Message | None:
        """The message under the cursor; None without a cursor."""
        index = self._cursor_at
        return None if index is None else self.shown[index]

    @property
    def _cursor_at(self) -> int | None:
        key = self._frame.cursor
        return None if key is None else self.shown.find(key)

    @property
    def unread_seq(self) -> int | None:
        """The seq of the message below the unread rule, for `scroll_to_seq`."""
        key = self._sheet.unread
        return key if isinstance(key, int) else None

    def _is_watched(self, done: Splices) -> bool:
        """Whether the reader sees the new messages arrive, with all earlier ones read."""
        return (
            self.unread_from is not None
            and done.first_before is not None
            and done.first_before < self.unread_from
            and self._sheet.unread is None
            and self.at_bottom
            and self.app.app_focus
            and done.is_live
        )

    def watch_unread_from(self) -> None:
        """Move the unread rule."""
        self._place_unread_rule()
        self._update_soon()

    def _place_unread_rule(self) -> None:
        seq = self.unread_from
        log = self.shown
        self._sheet.unread = (
            None if seq is None else log.first_unread(seq, self._user, self._is_folded)
        )

    def _lay_out(self) -> list[int]:
        if self._frame.cursor is not None and self._cursor_at is None:
            self._set_cursor(None)
        return super()._lay_out()

    # The cursor

    def action_end(self, direction: int) -> None:
        """Scroll to the oldest loaded message or to the newest, with the cursor."""
        log = self.shown
        if self._frame.cursor is not None:
            start = 0 if direction < 0 else len(log) - 1
            self._set_cursor(self._nearest(start, -direction))
        if direction > 0:
            self.jump_to_bottom()
        else:
            self._sheet.show_top()
            self._update_soon()

    def action_cursor(self, step: int) -> None:
        """Move the cursor; without a cursor, put it on the last visible message."""
        window, at = self._sheet.window, self._cursor_at
        index = self._nearest(window.last, -1) if at is None else self._nearest(at + step, step)
        if index is None:
            self._scroll(step)
            return
        self._set_cursor(index)
        self._sheet.reveal(index)
        self._update()

    def _nearest(self, index: int, step: int) -> int | None:
        """Return the first index from `index` where the cursor can be and that has rows."""
        found = nearest(self.shown, index, step)
        while found is not None and not self._sheet.block(found).lines:
            found = nearest(self.shown, found + step, step)
        return found

    def action_leave(self) -> None:
        """Remove the cursor."""
        self._set_cursor(None)

    async def on_key(self, event: events.Key) -> None:
        """Delay the command of a letter: it is text if another letter follows."""
        letter, moves, bound = self._letter, self._moves, self._bound_to(event)
        self._moves = []
        if moves and event.time - moves[-1].time >= self.letter_pause:
            moves = []
        if letter is not None and event.is_printable:
            self._type(event, letter)
        elif letter is not None:
            await self._act_on_letter()
        elif not event.is_printable:
            return
        elif bound is not None and bound.id in _MOVES:
            self._moves = [*moves, event]
        elif len(moves) == 1:  # several in a row are no word
            self._type(event, moves[0])
        elif bound is not None:
            event.stop()
            event.prevent_default()
            self._letter = event
            self._pause = self.set_timer(self.letter_pause, self._act_on_letter)

    def _type(self, event: events.Key, first: events.Key) -> None:
        """Pass a letter and the one before it to the composer."""
        event.stop()
        self._forget_letter()
        self.post_message(LettersTyped((first, event)))

    def _bound_to(self, event: events.Key) -> Binding | None:
        """Return the binding of this widget for a key, if there is a cursor to act on."""
        bound = self.screen.active_bindings.get(event.key)
        is_own = bound is not None and bound.node is self and bound.enabled
        return (
            bound.binding if bound is not None and is_own and self._cursor_at is not None else None
        )

    async def _act_on_letter(self) -> None:
        if (letter := self._letter) is not None:
            self._forget_letter()
            if bound := self._bound_to(letter):
                await self.app.run_action(bound.action, self)

    def _forget_letter(self) -> None:
        self._letter = None
        if self._pause is not None:
            self._pause.stop()

    def action_act(self, name: str) -> None:
        """Request an action on the message under the cursor."""
        message = self.cursor
        action = None if message is None else may(name, message, self._user)
        if message is not None and self._is_folded(message):
            action = "show" if name == "author" else None
        if message is None or action is None:
            self.app.bell()
        else:
            self.post_message(self.ActionRequested(action, message, self._thread))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the letter keys and Escape without a cursor."""
        return self._frame.cursor is not None if action in ("act", "leave") else True

    def _set_cursor(self, index: int | None) -> None:
        key = None if index is None else self.shown.key(index)
        if key == self._frame.cursor:
            return
        self._forget_letter()
        self._paint(self._frame.move_cursor(key))
        if not self.has_focus:
            self._update_soon()  # the bar differs without the focus
        self.post_message(self.Selected(self, self.cursor))
        self.refresh_bindings()

    def on_focus(self) -> None:
        """Show the cursor's bar with focus."""
        self._update_soon()

    def on_blur(self) -> None:
        """Show the cursor's bar without focus."""
        self._update_soon()

    # The mouse

    def on_click(self, event: events.Click) -> None:
        """Follow a link, run an action, or move the cursor to the message.

        A double click selects the message's text. Clicks on links and actions do not bubble.
        """
        event.prevent_default()
        row = self._frame.row(event.y)
        message = row.message if row is not None else None
        asked = asked_by(event.style, message, self._thread)
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
        """Hide the time."""
        self._paint(self._frame.hover(None))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text, unwrapped."""
        return selected_text(self._sheet, selection), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Repaint after a change of the selection."""
        self.refresh()
