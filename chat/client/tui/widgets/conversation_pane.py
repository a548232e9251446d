"""The conversation pane: a timeline and the composer under it, for a channel and for a thread."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.containers import Container, Horizontal, Vertical
from textual.events import Click
from textual.widget import Widget
from textual.widgets import Static

from chat.client.tui.composer import editor
from chat.client.tui.composer.completion import CompletionPopup
from chat.client.tui.composer.widget import Composer
from chat.client.tui.safe_text import lines
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.bars import ContextBar
from chat.client.tui.widgets.preview import Preview
from chat.errors import ChatError

__all__ = ["ConversationPane"]


class ConversationPane(Vertical):
    """A timeline and a composer, with the completion popup, the preview and the context bar.

    Messages of the timeline and the composer bubble, except those that concern only this pane. The
    composer's `subject` is the channel or thread of its text.

    Args:
        head: widgets above the timeline.
        stage: widgets in the timeline's container, below it.
        has_vi: whether to enable vi keys.
        place_key: the key that switches whether a reply also appears in the channel.
    """

    DEFAULT_CSS = """
    ConversationPane {
        & > .stage { height: 1fr; layers: base popup; layout: vertical; }
        & Timeline { height: 1fr; }
        & > .writing { height: auto; background: $surface; }
        & > .silence {
            display: none;
            height: auto;
            max-height: 4;
            padding: 0 1;
            background: $warning 15%;
        }
        & > .silence.-shown { display: block; }
        & .prompt {
            width: 2;
            padding-left: 1;
            color: $text-muted;
            text-style: bold;
        }
        /* Textual only looks after what has a rule of its own for this. */
        & > .writing:focus-within { background: $surface; }
        & > .writing:focus-within .prompt { color: $text-primary; }
        & Composer { width: 1fr; }
    }
    """

    def __init__(
        self,
        head: Sequence[Widget],
        stage: Sequence[Widget] = (),
        *,
        has_vi: bool,
        place_key: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.timeline = Timeline()
        self.composer = Composer()
        self.context = ContextBar(place_key)
        self._silence = Static(classes="silence", markup=False)
        self._preview = Preview()
        self._popup = CompletionPopup()
        self._head = head
        self._stage = stage
        self._has_vi = has_vi

    def compose(self) -> ComposeResult:
        """Lay out the widgets."""
        yield from self._head
        with Container(classes="stage"):
            yield self.timeline
            yield from self._stage
            yield self._popup
        yield self._preview
        yield self.context
        yield self._silence
        with Horizontal(classes="writing"):
            yield Static("›", classes="prompt", markup=False)
            yield self.composer

    def on_mount(self) -> None:
        """Enable vi keys, if set."""
        if self._has_vi:
            self.composer.edit_as_in_vi()

    def write(self) -> None:
        """Move the focus from the messages to the composer."""
        self.timeline.action_leave()
        self.screen.set_focus(self.composer)  # `focus()` would come after keys that wait already

    def choose_message(self) -> None:
        """Focus the timeline, with the cursor on the selected or the last visible message."""
        self.timeline.focus()
        if self.timeline.cursor is None:
            self.timeline.action_cursor(-1)

    def on_click(self, event: Click) -> None:
        """Focus the composer after a click, so that letters do not act on the clicked message."""
        event.stop()
        self.screen.set_focus(self.composer)

    def hush(self, reason: str) -> None:
        """Show why the user may not write here, above the composer; empty: they may."""
        self._silence.set_class(bool(reason), "-shown")
        if reason:
            self._silence.update(lines(reason))

    @on(ContextBar.PlaceToggled)
    def _place_toggled(self) -> None:
        self.composer.action_also_in_channel()

    @on(ContextBar.Dismissed)
    def _dismissed(self) -> None:
        """Treat a click on the bar as Escape."""
        self.post_message(Composer.Dismissed(self.composer.key))

    @on(Composer.Offered)
    def _offered(self, event: Composer.Offered) -> None:
        self._popup.show(event.completion, event.index)

    @on(CompletionPopup.OfferChosen)
    def _offer_chosen(self, event: CompletionPopup.OfferChosen) -> None:
        self.composer.accept(event.index)

    @on(Composer.ScrollWanted)
    def _scroll(self, event: Composer.ScrollWanted) -> None:
        self.timeline.action_page(event.pages)

    @on(Composer.Rewritten)
    def _rewritten(self, event: Composer.Rewritten) -> None:
        if event.is_typed:
            self.timeline.action_leave()
        self._show_preview()

    @on(Composer.PreviewToggled)
    def _toggle_preview(self) -> None:
        self._preview.display = not self._preview.display
        self._show_preview()

    def _show_preview(self) -> None:
        if self._preview.display:
            self._preview.show(self.composer.text, self.timeline.user, self.timeline.people)

    @on(Composer.EditorWanted)
    def _edit_outside(self) -> None:
        """Suspend the app, run the editor, and load the saved text."""
        before = self.composer.text
        after, failure = before, ""
        try:
            with self.app.suspend():
                try:
                    after = editor.edit(before)
                except ChatError as exc:  # here: Textual does not resume after an exception
                    failure = str(exc)
        except SuspendNotSupported:
            failure = "Cannot start an editor from this terminal."
        if failure:
            self.app.notify(failure, severity="warning")
        elif after != before:
            self.composer.rewrite(after)
