"""The composer: where one writes. It grows with the text, completes words, and loses nothing.

Keys are handled here, in the order in which they arrived. Textual runs bindings only after a key
has travelled up to the app; by then letters typed after it may be in the text already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from rich.segment import Segment
from textual import events, on
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import TextArea

from chat.client import slash
from chat.client.tui.completing import Completion, Sources, complete
from chat.client.tui.history import History
from chat.client.tui.plain import sendable, without_formats
from chat.client.tui.widgets.composer_keys import KEYS

__all__ = ["Composer"]

_TYPING_EVERY = 3.0
_DRAFT_AFTER = 1.0
_PASTE_LINES, _PASTE_CHARACTERS = 8, 1_500


class Composer(TextArea, inherit_bindings=False):
    """A text area that sends on Enter.

    Each message names the `subject` that was set when its text was typed: whatever happens in
    between, the text goes where it was meant to go.
    """

    DEFAULT_CSS = """
    Composer {
        height: auto;
        min-height: 1;
        max-height: 8;
        border: none;
        padding: 0 1;
        background: $surface;
        scrollbar-size-vertical: 1;

        &:focus {
            border: none;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    @dataclass
    class Submitted(Message):
        """Enter was pressed: `text` is for `subject`, and has been taken out of the composer."""

        text: str
        subject: str

    @dataclass
    class Drafted(Message):
        """The text has been at rest for a moment, and is worth keeping."""

        text: str
        subject: str

    @dataclass
    class Typing(Message):
        """A message is being written here, or is no more."""

        active: bool
        subject: str

    @dataclass
    class Offered(Message):
        """The offers of completion, or the chosen one, are others now."""

        completion: Completion | None
        index: int

    class Dismissed(Message):
        """Escape was pressed, and there was nothing to close here."""

    class EditLastWanted(Message):
        """Up was pressed in an empty composer."""

    class EditorWanted(Message):
        """The text shall be edited in the person's own editor."""

    class PreviewToggled(Message):
        """The preview shall be shown, or no more."""

    @dataclass
    class Pasted(Message):
        """So much was pasted that the person should be asked; nothing was inserted."""

        text: str

    class Rewritten(Message):
        """The text is another one."""

    @dataclass
    class ScrollWanted(Message):
        """The timeline shall scroll by so many pages."""

        pages: int

    def __init__(self, *, id: str | None = None, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False)
        self.sources = Sources()
        self.subject = ""
        self._clock = clock
        self._completion: Completion | None = None
        self._index = 0
        self._has_chosen = False
        self._dismissed: tuple[int, int] | None = None
        self._quiet_text = ""
        self._history = History()
        self._typed_at: float | None = None
        self._draft_timer: Timer | None = None

    def load(self, text: str, subject: str | None = None) -> None:
        """Put `text`, and what it is for, here instead of what was; the cursor goes to its end."""
        text = sendable(text)
        self._quiet_text = text
        self._stop_typing()
        self.subject = self.subject if subject is None else subject
        self._stop_draft_timer()
        self.load_text(text)
        self.move_cursor(self.document.end)
        self._offer()

    @property
    def has_text(self) -> bool:
        """Whether there is anything but white space."""
        return bool(self.text.strip())

    def render_line(self, y: int) -> Strip:
        """Draw a line without what has no width and only disorders what stands around it."""
        strip = super().render_line(y)
        if all(segment.text.isprintable() for segment in strip):
            return strip
        drawn = [
            Segment(without_formats(segment.text), segment.style, segment.control)
            for segment in strip
        ]
        return Strip(drawn, strip.cell_length)

    async def _on_key(self, event: events.Key) -> None:
        if event.is_printable:
            return
        active = self.screen.active_bindings.get(event.key)
        if active is None or not active.enabled:
            return
        if await self.app.run_action(active.binding.action, active.node):
            event.stop()
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.take_paste(sendable(event.text))

    def take_paste(self, text: str, *, is_meant: bool = False) -> None:
        """Insert what was pasted; a lot of it only if the person said that it `is_meant`."""
        lines = text.count("\n") + 1
        if not is_meant and (lines > _PASTE_LINES or len(text) > _PASTE_CHARACTERS):
            self.post_message(self.Pasted(text))
        else:
            self._insert(text)

    def action_paste(self) -> None:
        """Insert what was copied within the program."""
        self.take_paste(sendable(self.app.clipboard))

    def action_new_line(self) -> None:
        """Begin a new line."""
        self._insert("\n")

    def _insert(self, text: str) -> None:
        result = self.replace(text, *self.selection, maintain_selection_offset=False)
        self.move_cursor(result.end_location)

    def action_send(self) -> None:
        """Take the chosen offer; without one, hand the text over."""
        self._offer()
        if self._completion and (self._has_chosen or self._completion.is_meant):
            self.accept(self._index)
            return
        self._close()
        if self.has_text:
            text = sendable(self.text).strip("\n").rstrip()
            self._history.add(text)
            self.post_message(self.Submitted(text, self.subject))
            self.load("")

    def give_back(self, text: str) -> None:
        """Put text that could not be sent back, before what has been typed since."""
        self.load(f"{text}\n{self.text}" if self.has_text else text)

    def action_complete(self) -> None:
        """Take the chosen offer."""
        self._dismissed = None
        self._offer()
        if not self._completion:
            raise SkipAction
        self.accept(self._index)

    def action_dismiss(self) -> None:
        """Close the offers, or say that Escape was pressed; the text stays."""
        if self._completion:
            self._dismissed = self._word()
            self._close()
        else:
            self.post_message(self.Dismissed())

    def action_cursor_up(self, select: bool = False) -> None:
        """Choose the offer above, edit the last message, or move up."""
        if not self._choose(-1):
            if not self.text and not select:
                self.post_message(self.EditLastWanted())
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Choose the offer below, or move down."""
        if not self._choose(1):
            super().action_cursor_down(select)

    def action_older(self) -> None:
        """Call back what was sent before."""
        self._call_back(self._history.older(self.text))

    def action_newer(self) -> None:
        """Call back what was sent after that; at last, what was being written."""
        self._call_back(self._history.newer(self.text))

    def _call_back(self, text: str | None) -> None:
        if text is None:
            self.app.bell()
        else:
            self._replace_all(text)

    def rewrite(self, text: str) -> None:
        """Put another text here; undo brings the former one back."""
        self._replace_all(sendable(text))

    def _replace_all(self, text: str) -> None:
        result = self.replace(text, (0, 0), self.document.end, maintain_selection_offset=False)
        self.move_cursor(result.end_location)

    def action_edit_outside(self) -> None:
        """Ask for the person's own editor."""
        self.post_message(self.EditorWanted())

    def action_preview(self) -> None:
        """Ask for the preview, or for no more of it."""
        self.post_message(self.PreviewToggled())

    def action_scroll_timeline(self, pages: int) -> None:
        """Scroll the timeline while writing."""
        self.post_message(self.ScrollWanted(pages))

    def accept(self, index: int) -> None:
        """Put the offer of `index` in the place of the word under the cursor."""
        if self._completion is None:
            return
        row, column = self.cursor_location
        insert = sendable(self._completion.candidates[index].insert)
        follows = self.document.get_line(row)[column : column + 1]
        if follows == " ":
            insert = insert.rstrip(" ")
        start = (row, self._completion.start)
        result = self.replace(insert, start, (row, column), maintain_selection_offset=False)
        self.move_cursor(result.end_location)
        self._close()

    def _choose(self, step: int) -> bool:
        self._offer()
        if not self._completion:
            return False
        self._index = (self._index + step) % len(self._completion.candidates)
        self._has_chosen = True
        self.post_message(self.Offered(self._completion, self._index))
        return True

    def _word(self) -> tuple[int, int] | None:
        return (self.cursor_location[0], self._completion.start) if self._completion else None

    def _offer(self) -> None:
        """Bring the offers up to date with the word under the cursor."""
        row, column = self.cursor_location
        found = None
        if self.selection.is_empty:
            line = self.document.get_line(row)[:column]
            found = complete(line, self.sources, first=row == 0)
        if found and self._dismissed == (row, found.start):
            found = None
        else:
            self._dismissed = None
        if found != self._completion:
            self._completion, self._index, self._has_chosen = found, 0, False
            self.post_message(self.Offered(found, 0))

    def _close(self) -> None:
        if self._completion:
            self._completion, self._index, self._has_chosen = None, 0, False
            self.post_message(self.Offered(None, 0))

    @on(TextArea.Changed)
    def _text_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._offer()
        self.post_message(self.Rewritten())
        if self.text == self._quiet_text:
            return
        self._quiet_text = self.text
        self._tell_typing()
        self._stop_draft_timer()
        self._draft_timer = self.set_timer(_DRAFT_AFTER, self._tell_draft)

    @on(TextArea.SelectionChanged)
    def _cursor_moved(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        self._offer()

    @on(events.Blur)
    def _left(self) -> None:
        self._close()

    def _tell_typing(self) -> None:
        if not self.has_text or slash.is_command(self.text):
            self._stop_typing()
            return
        now = self._clock()
        if self._typed_at is None or now - self._typed_at >= _TYPING_EVERY:
            self._typed_at = now
            self.post_message(self.Typing(True, self.subject))

    def _stop_typing(self) -> None:
        if self._typed_at is not None:
            self._typed_at = None
            self.post_message(self.Typing(False, self.subject))

    def _tell_draft(self) -> None:
        self.post_message(self.Drafted(self.text, self.subject))

    def _stop_draft_timer(self) -> None:
        if self._draft_timer is not None:
            self._draft_timer.stop()
            self._draft_timer = None
