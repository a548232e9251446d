"""The composer widget: grows with its text, completes words, keeps drafts.

The widget runs its bindings itself, so keys take effect in the order in which they arrived. Textual
runs bindings only after the key has bubbled to the app, when later letters may already be inserted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual import events, on
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import TextArea

from chat.client.model.slash import parser
from chat.client.presenter.composer.completion import Sources, complete
from chat.client.presenter.navigation import PaneKey
from chat.client.tui.composer import messages
from chat.client.tui.composer.area import Area
from chat.client.tui.composer.completion import CompletionOffers
from chat.client.tui.composer.history import History
from chat.client.tui.composer.messages import Subject, TypingPulse
from chat.client.tui.keymap import COMPOSER_KEYS
from chat.client.tui.safe_text import sendable
from chat.text import is_blank

if TYPE_CHECKING:
    from chat.client.tui.composer.vi.modal import Modal

__all__ = ["Composer"]

_DRAFT_AFTER = 0.5
"""Seconds between a key press and the saving of the draft.

The account writes it to `outbox.db` after at most another `FLUSH_DELAY` (`sync/engine.py`), so a
killed client loses at most 0.7 s of typing.
"""
_PASTE_LINES, _PASTE_CHARACTERS = 50, 5_000
"""Lines and characters from which a paste needs confirmation."""


class Composer(Area, inherit_bindings=False):
    """A text area that sends on Enter.

    It passes its text to the drafts of its `subject`: the channel or thread for which it was typed.
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

    BINDINGS: ClassVar[list[BindingType]] = COMPOSER_KEYS

    Offered: TypeAlias = messages.Offered
    Dismissed: TypeAlias = messages.Dismissed
    EditorWanted: TypeAlias = messages.EditorWanted
    ModeChanged: TypeAlias = messages.ModeChanged
    PreviewToggled: TypeAlias = messages.PreviewToggled
    Pasted: TypeAlias = messages.Pasted
    Rewritten: TypeAlias = messages.Rewritten
    ScrollWanted: TypeAlias = messages.ScrollWanted

    def __init__(self, *, id: str | None = None, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(id=id)
        self.sources: Callable[[], Sources] = Sources
        self.look_up: Callable[[str, Callable[[], None]], bool] = lambda _line, _then: False
        self.subject: Subject | None = None
        """None before the first `load`."""
        self._offers = CompletionOffers()
        self._awaited: str | None = None
        """The line for which a request for names is pending."""
        self._is_tab_due = False
        self._quiet_text = ""
        self._history = History()
        self._pulse = TypingPulse(clock)
        self._draft_timer: Timer | None = None
        self.typed_at = 0.0
        """Time of the last change of the text, by `time.monotonic`."""
        self._modal: Modal | None = None

    def edit_as_in_vi(self) -> None:
        """Enable vi keys."""
        from chat.client.tui.composer.vi.modal import Modal  # deferred: optional

        self._modal = Modal(self)
        self._tell_mode()

    def load(self, text: str, subject: Subject | None = None) -> None:
        """Replace the text and, unless None, its `subject`; the cursor goes to the end."""
        text = sendable(text)
        self._quiet_text = text
        self._stop_typing()
        self.subject = self.subject if subject is None else subject
        self._stop_draft_timer()
        self.load_text(text)
        self.move_cursor(self.document.end)
        if self._modal is not None:
            self._modal.begin()
            self._tell_mode()
        self._offer()

    def give_back(self, text: str) -> None:
        """Restore a text that could not be sent, selected, so that typing replaces it.

        Text typed since then is kept below it, and nothing is selected.
        """
        if self.has_text:
            self.put_first(text)
        else:
            self.load(text)
            self.action_select_all()

    def put_first(self, text: str) -> None:
        """Insert text on lines above the current text."""
        self.load(f"{text}\n{self.text}" if self.has_text else text)

    def rewrite(self, text: str) -> None:
        """Replace the text as one undoable change."""
        self.put_all(sendable(text))

    @property
    def key(self) -> PaneKey:
        """The channel or thread of the text."""
        return PaneKey("") if self.subject is None else self.subject.key

    @property
    def has_text(self) -> bool:
        """Whether the text has visible characters."""
        return not is_blank(self.text)

    # Typing and pasting

    async def _on_key(self, event: events.Key) -> None:
        if self._is_command(event):
            event.stop()
            event.prevent_default()
            return
        if event.is_printable:
            return
        active = self.screen.active_bindings.get(event.key)
        if active is None or not active.enabled:
            return
        if await self.app.run_action(active.binding.action, active.node):
            event.stop()
            event.prevent_default()

    def type(self, event: events.Key) -> None:
        """Handle a letter that was typed in a widget without a use for it."""
        if not self._is_command(event) and event.character:
            self.insert(event.character)

    def _is_command(self, event: events.Key) -> bool:
        """Handle a key as a vi command; return False if it is not one."""
        if self._modal is None or not self._modal.take(event):
            return False
        self._close()
        self._tell_mode()
        return True

    def action_copy(self) -> None:
        """Copy the selection of the timeline, or else of the composer."""
        if self.screen.get_selected_text():
            raise SkipAction
        self._release()
        super().action_copy()

    def action_cut(self) -> None:
        """Cut the selection, or the line."""
        self._release()
        super().action_cut()

    def _release(self) -> None:
        if self._modal is not None:
            self._modal.release()
            self._tell_mode()

    def _tell_mode(self) -> None:
        if self._modal is not None:
            self.post_message(self.ModeChanged(self._modal.mode))

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.take_paste(sendable(event.text))

    def take_paste(self, text: str, *, is_meant: bool = False) -> None:
        """Insert pasted text; a large one only if `is_meant`, else post `Pasted`."""
        lines = text.removesuffix("\n").count("\n") + 1
        if not is_meant and (lines >= _PASTE_LINES or len(text) >= _PASTE_CHARACTERS):
            self.post_message(self.Pasted(text))
        else:
            self.put(text)

    def action_paste(self) -> None:
        """Paste the text last copied in this client."""
        self.take_paste(sendable(self.app.clipboard))

    def action_new_line(self) -> None:
        """Insert a line break."""
        self.put("\n")

    def action_send(self) -> None:
        """Accept the selected completion, or else submit the text."""
        self._offer()
        if self._offers.is_meant:
            self.accept(self._offers.index)
            return
        self._close()
        if self.has_text:
            text = sendable(self.text).strip("\n").rstrip()
            if self.subject is None or not self.subject.drafts.holds_code(text):
                self._history.add(text)
            self.load("")
        else:
            text = ""
        if self.subject is not None:
            self.subject.drafts.submit(text, self.subject.key)

    def action_older(self) -> None:
        """Recall the previous sent text."""
        self._call_back(self._history.older(self.text))

    def action_newer(self) -> None:
        """Recall the next sent text, at the end the draft."""
        self._call_back(self._history.newer(self.text))

    def _call_back(self, text: str | None) -> None:
        if text is None:
            self.app.bell()
        else:
            self.put_all(text)

    # Requests to the screen

    def action_dismiss(self) -> None:
        """Close the completion popup, or else post `Dismissed`; the text is kept."""
        if self._offers:
            self._offers.dismiss()
            self._close()
        else:
            self.post_message(self.Dismissed(self.key))

    def action_edit_outside(self) -> None:
        """Post `EditorWanted`."""
        self.post_message(self.EditorWanted())

    def action_also_in_channel(self) -> None:
        """Switch whether the reply also appears in the channel."""
        key = self.key
        if self.subject is not None and self.subject.drafts.has_place_to_choose(key):
            self.subject.drafts.keep_open()
            self.subject.drafts.toggle_in_channel(key)
        else:
            self.app.bell()

    def action_preview(self) -> None:
        """Post `PreviewToggled`."""
        self.post_message(self.PreviewToggled())

    def action_scroll_timeline(self, pages: int) -> None:
        """Post `ScrollWanted`."""
        self.post_message(self.ScrollWanted(pages))

    # Completion

    def action_complete(self) -> None:
        """Accept the selected completion."""
        self._offers.undismiss()
        self._offer()
        if self._awaited == self._line_to_cursor() and not self._offers.is_prefix:
            self._is_tab_due = True  # prefer the server's names to fuzzy matches
            return
        if not self._offers:
            raise SkipAction
        self.accept(self._offers.index)

    def action_cursor_up(self, select: bool = False) -> None:
        """Select the completion above, edit the last message, or move up."""
        if not self._choose(-1):
            if not self.text and not select and self.subject is not None:
                self.subject.drafts.edit_last(self.subject.key)
            else:
                super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Select the completion below, or move down."""
        if not self._choose(1):
            super().action_cursor_down(select)

    def accept(self, index: int) -> None:
        """Replace the word at the cursor by the completion at `index`."""
        found = self._offers.candidate(index)
        if found is None:
            return
        candidate, start = found
        row, column = self.cursor_location
        insert = sendable(candidate.insert)
        if self.document.get_line(row)[column : column + 1] == " ":
            insert = insert.rstrip(" ")
        self.put_at(insert, start, (row, column))
        self._close()

    def _choose(self, step: int) -> bool:
        self._offer()
        if not self._offers.choose(step):
            return False
        self._tell_offers()
        return True

    def _offer(self) -> None:
        """Update the completions for the word at the cursor."""
        row, _ = self.cursor_location
        found = None
        if self.selection.is_empty:
            line = self._line_to_cursor()
            found = complete(line, self.sources(), self.document.lines[:row])
            self._ask(line)
        if self._offers.take_in(found, row):
            self._tell_offers()

    def _line_to_cursor(self) -> str:
        row, column = self.cursor_location
        return self.document.get_line(row)[:column]

    def _ask(self, line: str) -> None:
        """Request names that complete `line` from the server, once per line."""
        if line == self._awaited:
            return
        self._is_tab_due = False
        self._awaited = line if self.look_up(line, partial(self._names_came, line)) else None

    def _names_came(self, line: str) -> None:
        if line != self._awaited:
            return
        self._awaited, is_due, self._is_tab_due = None, self._is_tab_due, False
        if self.is_attached and self.has_focus and line == self._line_to_cursor():
            self._offer()
            if is_due and self._offers:
                self.accept(self._offers.index)

    def _close(self) -> None:
        if self._offers.clear():
            self._tell_offers()

    def _tell_offers(self) -> None:
        self.post_message(self.Offered(self._offers.found, self._offers.index))

    @on(TextArea.SelectionChanged)
    def _cursor_moved(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        self._offer()

    @on(events.Blur)
    def _left(self) -> None:
        self._close()

    # Changes of the text

    @on(TextArea.Changed)
    def _text_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.typed_at = monotonic()
        self._offer()
        is_typed = self.text != self._quiet_text
        self.post_message(self.Rewritten(is_typed))
        if not is_typed:
            return
        self._quiet_text = self.text
        self._tell_typing()
        if self._draft_timer is None:
            self._draft_timer = self.set_timer(_DRAFT_AFTER, self._draft_changed)

    def _tell_typing(self) -> None:
        if not self.has_text or parser.is_command(self.text):
            self._stop_typing()
        elif self._pulse.beat():
            self._notify_typing(is_active=True)

    def _stop_typing(self) -> None:
        if self._pulse.stop():
            self._notify_typing(is_active=False)

    def _notify_typing(self, *, is_active: bool) -> None:
        if self.subject is not None:
            self.subject.drafts.typing(is_active, self.subject.key)

    def _draft_changed(self) -> None:
        self._draft_timer = None
        if self.subject is not None:
            self.subject.drafts.keep_open()

    def _stop_draft_timer(self) -> None:
        if self._draft_timer is not None:
            self._draft_timer.stop()
            self._draft_timer = None
