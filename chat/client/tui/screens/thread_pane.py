"""The thread pane: a thread's messages and its own composer."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from chat.client.model.state import Message as ChatMessage
from chat.client.model.state import TimelineChanged
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.workspace import Workspace
from chat.client.tui.composer.completion import CompletionPopup
from chat.client.tui.composer.widget import Composer
from chat.client.tui.safe_text import line, sendable
from chat.client.tui.screens.message_actions import MessageActions
from chat.client.tui.screens.writing import Writing
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.messages import (
    ActionRequested,
    GapWanted,
    LinkClicked,
    OlderWanted,
    Seen,
)
from chat.client.tui.widgets.bars import ContextBar
from chat.client.tui.widgets.preview import Preview

__all__ = ["ThreadPane"]


class ThreadPane(Vertical):
    """Hidden until a thread is opened; what happens in it stays in it.

    Args:
        seats: whose front conversation has the thread.
        actions: carries out what is asked for a message.
        has_vi: whether text is edited as in vi.
    """

    DEFAULT_CSS = """
    ThreadPane {
        display: none;
        width: 45%;
        max-width: 72;
        border-left: solid $foreground 20%;

        & #thread-title { height: 1; padding: 0 1; background: $surface; }
        & #thread-stage { height: 1fr; layers: base popup; layout: vertical; }
        & #thread-writing { height: auto; background: $surface; }
        & #thread-prompt {
            width: 2;
            padding-left: 1;
            color: $foreground 40%;
            text-style: bold;
        }
        /* Textual only looks after what has a rule of its own for this. */
        & #thread-writing:focus-within { background: $surface; }
        & #thread-writing:focus-within #thread-prompt { color: $text-primary; }
        & #thread-writing Composer { width: 1fr; }

        &.-stacked { width: 100%; max-width: 100%; height: 1fr; border-left: none; }
        &.-stacked #thread-title { background: $primary 20%; }
    }
    """

    # The first two are also the whole screen's; here they mean what is here.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+up", "focus_timeline", show=False, id="timeline.focus"),
        Binding("ctrl+end", "bottom", show=False, id="timeline.bottom"),
        Binding("escape", "write", show=False, priority=True),
    ]

    class Toggled(Message):
        """The thread takes its room, or gives it back."""

    def __init__(
        self, seats: Workspace, actions: MessageActions, *, has_vi: bool, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._has_vi = has_vi
        self._seats = seats
        self._actions = actions
        self._writing = Writing(self, seats)

    def on_mount(self) -> None:
        """Let the screen come up first: without these widgets its first paint is 10 ms quicker."""
        self.call_after_refresh(self._furnish)

    async def _furnish(self) -> None:
        """Lay out the widgets, unless the program has ended before it came to that."""
        if not self.is_attached:
            return
        composer = Composer(id="thread-composer")
        stage = (Timeline(id="thread-timeline"), CompletionPopup(id="thread-popup"))
        await self.mount(
            Static(id="thread-title", markup=False),
            Container(*stage, id="thread-stage"),
            Preview(id="thread-preview"),
            ContextBar(id="thread-context"),
            Horizontal(
                Static("›", id="thread-prompt", markup=False), composer, id="thread-writing"
            ),
        )
        if self._has_vi:
            composer.edit_as_in_vi()

    def open(self, channel: str, root: int, user: str, read: int) -> None:
        """Show another thread, and write in it."""
        self.query_one("#thread-title", Static).update(
            Content.assemble(
                ("Thread", "bold $text-primary"),
                (" in ", "$foreground 60%"),
                line(channel, "$foreground 60%"),
                ("  Esc closes", "$foreground 40%"),
            )
        )
        self._timeline.show(channel, user, read=read, thread=root)
        composer = self.screen.query_one("#composer", Composer)
        self.composer.sources, self.composer.look_up = composer.sources, composer.look_up
        self.composer.placeholder = "Reply in the thread"
        self.display = True
        self.post_message(self.Toggled())
        self.screen.set_focus(self.composer)

    def update(self, change: TimelineChanged) -> None:
        """Bring the timeline up to date."""
        self._timeline.apply(change)

    def close(self) -> None:
        """Step aside; who wrote here writes on in the channel."""
        self._timeline.action_leave()
        if self.has_focus_within:
            self.screen.set_focus(self.screen.query_one("#composer", Composer))
        self.display = False
        self.post_message(self.Toggled())

    # What is done with keys and clicks

    def action_focus_timeline(self) -> None:
        """Choose a message of the thread."""
        self._timeline.focus()
        if self._timeline.cursor is None:
            self._timeline.action_cursor(-1)

    def action_bottom(self) -> None:
        """Show the newest message of the thread."""
        self._timeline.jump_to_bottom()

    def action_write(self) -> None:
        """Leave the messages for the composer, which knows its own way with Escape."""
        if self._timeline.cursor is None and self.composer.has_focus:
            raise SkipAction
        self._write()

    def on_key(self, event: events.Key) -> None:
        """Write on, with a letter that nothing here has a use for."""
        if event.is_printable and event.key not in self.screen.active_bindings:
            event.stop()
            self._write()
            self.composer.type(event)

    def on_paste(self, event: events.Paste) -> None:
        """Write what was pasted where nothing had a use for it."""
        event.stop()
        self._write()
        self.composer.take_paste(sendable(event.text))

    def on_click(self, event: events.Click) -> None:
        """Write in the thread after a click on it."""
        event.stop()
        self.screen.set_focus(self.composer)

    def _write(self) -> None:
        self._timeline.action_leave()
        self.screen.set_focus(self.composer)

    # What the widgets tell

    @on(Composer.Submitted)
    def _submitted(self, event: Composer.Submitted) -> None:
        event.stop()
        self._conversation.submit(event.text, event.subject.key)

    @on(Composer.Drafted)
    def _drafted(self, event: Composer.Drafted) -> None:
        event.stop()
        self._conversation.drafts.keep(event.text, event.subject.key)

    @on(Composer.Typing)
    def _typing(self, event: Composer.Typing) -> None:
        event.stop()
        self._conversation.drafts.typing(event.active, event.subject.key)

    @on(Composer.Offered)
    def _offered(self, event: Composer.Offered) -> None:
        event.stop()
        self.query_one(CompletionPopup).show(event.completion, event.index)

    @on(CompletionPopup.OfferChosen)
    def _offer_chosen(self, event: CompletionPopup.OfferChosen) -> None:
        event.stop()
        self.composer.accept(event.index)

    @on(Composer.Dismissed)
    @on(ContextBar.Dismissed)
    def _dismissed(self, event: Composer.Dismissed | ContextBar.Dismissed) -> None:
        event.stop()
        self._conversation.dismiss(self.composer.subject.key)

    @on(Composer.EditLastWanted)
    def _edit_last(self, event: Composer.EditLastWanted) -> None:
        event.stop()
        self._conversation.drafts.edit_last(self.composer.subject.key)

    @on(Composer.Pasted)
    def _pasted(self, event: Composer.Pasted) -> None:
        event.stop()
        self._writing.ask_paste(event.text)

    @on(Composer.EditorWanted)
    def _edit_outside(self, event: Composer.EditorWanted) -> None:
        event.stop()
        self._writing.edit_outside()

    @on(Composer.PreviewToggled)
    def _toggle_preview(self, event: Composer.PreviewToggled) -> None:
        event.stop()
        self._writing.toggle_preview()

    @on(Composer.Rewritten)
    def _rewritten(self, event: Composer.Rewritten) -> None:
        event.stop()
        if event.is_typed:
            self._timeline.action_leave()
        self._writing.show_preview()

    @on(Composer.ScrollWanted)
    def _scroll(self, event: Composer.ScrollWanted) -> None:
        event.stop()
        self._timeline.action_page(event.pages)

    @on(OlderWanted)
    @on(GapWanted)
    def _older(self, event: OlderWanted | GapWanted) -> None:
        event.stop()
        self._seats.front.conversation.core.load_thread()

    @on(Seen)
    def _seen(self, event: Seen) -> None:
        event.stop()  # what shows here is not marked as read: see `sync.publisher`

    @on(LinkClicked)
    def _link(self, event: LinkClicked) -> None:
        event.stop()
        self._seats.front.conversation.view.open_links([event.url])

    @on(ActionRequested)
    def _asked(self, event: ActionRequested) -> None:
        event.stop()
        self.act(event.name, event.message)

    def act(self, name: str, message: ChatMessage) -> None:
        """Do something with a message of the thread."""
        self._write()
        thread = self.composer.subject.key.thread
        match name:
            case "reply":
                self._conversation.drafts.begin_reply(message, thread)
            case "edit":
                self._conversation.drafts.begin_edit(message, thread)
            case "thread":
                pass  # it is the one that is shown
            case _:
                self._actions.run(name, message)

    @property
    def chosen(self) -> ChatMessage | None:
        """The message under the cursor, if the thread is shown and has one."""
        return self._timeline.cursor if self.display else None

    @property
    def _conversation(self) -> Conversation:
        return self._seats.front.conversation

    @property
    def composer(self) -> Composer:
        """Where one writes in the thread."""
        return self.query_one(Composer)

    @property
    def _timeline(self) -> Timeline:
        return self.query_one(Timeline)
