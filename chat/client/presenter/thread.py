"""The open thread: its messages, its composer, and its replies.

What shows there is not marked as read. The marker is one number for the whole channel: a reply
that was seen here says nothing of what was said before it elsewhere. The channel's timeline stands
beside the thread, and marks what it shows, as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chat.client.model.slash import parser
from chat.client.model.slash.commands import Kind
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import Message, ThreadChanged
from chat.client.presenter import draft as substitution
from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.draft import Aim, Draft, DraftStore, check_length, together
from chat.client.presenter.state import ConversationState, Recent
from chat.client.presenter.view import Refused, ThreadView, View
from chat.client.sync.core import Core
from chat.errors import ChatError

__all__ = ["ThreadController"]

_OF_ONES_OWN = ("edit", "delete")
"""Commands that without a number mean a message of one's own."""


class ThreadController:
    """One thread at most, of the channel that is shown.

    Args:
        drafts: what lies in the channel's own composer.
        run: does what a slash command says, if that is nothing of the thread's own.
    """

    def __init__(
        self,
        core: Core,
        store: DraftStore,
        desk: ConversationState,
        view: View,
        drafts: Drafts,
        run: Callable[[Invocation], None],
    ) -> None:
        self._core = core
        self._store = store
        self._desk = desk
        self._screen = view
        self._drafts = drafts
        self._pass_on = run
        self._channel = ""
        self._asked = 0
        self._root: int | None = None
        self._draft = Draft()
        self._recent = Recent()

    # Which one

    def show(self, channel: str, seq: int) -> None:
        """Show the thread that a message is in, or may begin.

        Its composer is there at once: what is typed next, however soon, is written in the thread.
        """
        self.close()
        self._channel, self._asked = channel, seq
        line = self._desk.recent(channel).find(seq)
        self._begin((line and line.thread) or seq)
        self._core.open_thread(channel, seq)

    def take_in(self, told: ThreadChanged) -> None:
        """Show what the core tells of it."""
        if (told.channel, told.asked) != (self._channel, self._asked):
            return  # it was closed meanwhile
        if told.is_none and not self._view.composed().strip():
            self.close()
            return
        if told.root != self._root:
            self._correct(told.root)
        self._recent.apply(told.change)
        self._view.update(told.change)

    def close(self) -> None:
        """Put it away, with what was being written in it."""
        if not self._channel:
            return
        self.put_away()
        self._channel, self._root = "", None
        self._core.close_thread()
        self._view.close()

    def _correct(self, root: int) -> None:
        """Take what has been written along to the message that the thread really begins with."""
        written = self._written
        self._store.save(self._key, Draft())
        self._begin(root)
        if self._draft != Draft():
            written = replace(self._draft, text=together(written.text, self._draft.text))
        self._lay_out(written)

    def _begin(self, root: int) -> None:
        self._root, self._recent = root, Recent()
        info = self._desk.info
        self._view.open(self._channel, root, self._desk.user, info.read if info else 0)
        self._lay_out(self._store.load(self._key))

    def put_away(self) -> None:
        """Save what is typed in the thread."""
        if self._root is not None:
            self.keep(self._view.composed())

    def find(self, seq: int) -> Message | None:
        """Return the message of that number, if it is in the thread that shows."""
        return self._recent.find(seq) if self._root is not None else None

    # What one writes

    def submit(self, text: str) -> None:
        """Send a text as a reply, run it as a command, or change a message."""
        self._draft = replace(self._draft, text="")
        try:
            self._submit(text)
        except ChatError as exc:
            self._screen.say(str(exc), "warning")
            self._view.give_back(text)
            self.keep(self._view.composed())
        else:
            self._store.save(self._key, self._draft)

    def _submit(self, text: str) -> None:
        draft = self._draft
        if draft.aim is Aim.EDIT:
            self._drafts.change(draft.message, text)
            self._lay_out(Draft(draft.aside))
        elif parser.is_command(text):
            self._run(self._addressed(parser.parse(text)))
        elif correction := substitution.read(text):
            last = self._recent.latest(self._desk.user)
            self._drafts.change(last, substitution.corrected(correction, last))
        else:
            self._send(parser.literal(text))

    def _addressed(self, asked: Invocation) -> Invocation:
        """Let a command without a number mean the thread's latest message, or one's own latest."""
        takes_number = any(each.kind is Kind.NUMBER for each in asked.command.arguments)
        if not takes_number or asked.get("number").isdigit():
            return asked
        is_own = asked.command.name in _OF_ONES_OWN
        message = self._recent.latest(self._desk.user if is_own else None)
        if message is None:
            whose = "of yours " if is_own else ""
            raise Refused(f"There is no message {whose}in this thread.")
        return replace(asked, values={**asked.values, "number": str(message.seq)})

    def _run(self, asked: Invocation) -> None:
        """Run a command; what it writes is written in the thread."""
        message = self.find(int(asked.get("number") or 0))
        match asked.command.name:
            case "me":
                self._send(asked.get("text"), me=True)
            case "reply":
                self._send(asked.get("text"), answered=int(asked.get("number")))
            case "edit" if message is not None and not asked.get("text"):
                self._lay_out(self._draft.editing(message))
            case _:
                self._pass_on(asked)

    def _send(self, text: str, *, me: bool = False, answered: int | None = None) -> None:
        check_length(text, self._desk.text_limit)
        if answered is None:
            answered = self._draft.message.seq if self._draft.message is not None else self._root
        self._core.send(self._channel, text, me=me, reply_to=answered)
        self._lay_out(Draft())

    def begin_reply(self, message: Message) -> None:
        """Let the text answer one message of the thread."""
        self._lay_out(self._written.replying(message))

    def begin_edit(self, message: Message) -> None:
        """Put one's own message into the composer, to change it."""
        self._lay_out(self._written.editing(message))

    def edit_last(self) -> None:
        """Change the last message of one's own in the thread."""
        if message := self._recent.latest(self._desk.user):
            self.begin_edit(message)

    def give_up(self) -> None:
        """Answer or change nothing any more; with nothing written, close the thread."""
        if self._draft.aim is not Aim.MESSAGE:
            self._lay_out(self._written.cancelled())
        elif not self._written.text.strip():
            self.close()

    def keep(self, text: str) -> None:
        """Keep what was typed, for the case that the program ends here."""
        self._draft = replace(self._draft, text=text)
        self._store.save(self._key, self._draft)

    def typing(self, active: bool) -> None:
        """Tell the others in the channel that one is writing."""
        if self._draft.aim is not Aim.EDIT:
            self._drafts.typing(active, self._channel)

    def _lay_out(self, draft: Draft) -> None:
        self._draft = draft
        self._store.save(self._key, draft)
        self._view.compose_with(draft)

    @property
    def _written(self) -> Draft:
        return replace(self._draft, text=self._view.composed())

    @property
    def _key(self) -> str:
        """The name under which the draft is kept: no channel is called so."""
        return f"{self._channel}/{self._root}"

    @property
    def _view(self) -> ThreadView:
        return self._screen.thread
