"""Drafts of all channels and threads, saved while typing.

On the way into a channel, which the server has to open, the composer has that channel's draft
already: what one writes next, however soon, is meant for there. What is sent on the way is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from chat.client.model.slash import parser
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import Message
from chat.client.presenter import draft as substitution
from chat.client.presenter.draft import Aim, Draft, DraftStore, check_length, together
from chat.client.presenter.state import ConversationState
from chat.client.presenter.view import Refused, View
from chat.client.sync.core import Core
from chat.errors import ChatError

__all__ = ["Drafts"]


class Drafts:
    """One draft for each channel; one of them is in the composer.

    Args:
        run: does what a slash command says.
        tells_typing: whether others are told that one writes.
    """

    def __init__(
        self,
        core: Core,
        store: DraftStore,
        desk: ConversationState,
        view: View,
        run: Callable[[Invocation], None],
        *,
        tells_typing: bool,
    ) -> None:
        self._core = core
        self._store = store
        self._desk = desk
        self._view = view
        self._run = run
        self._tells_typing = tells_typing
        self._drafts: dict[str, Draft] = {}
        self._older: dict[str, Draft] = {}
        """Each channel's draft as it was before the channel was opened last."""
        self._held: list[str] = []
        self.channel = ""
        """Whose draft lies in the composer; empty: that of no channel."""

    @property
    def here(self) -> Draft:
        """What lies in the composer now."""
        return replace(self._of(self.channel), text=self._view.composed())

    @property
    def is_on_the_way(self) -> bool:
        """Whether the composer is for a channel that is not shown yet."""
        return self.channel != (self._desk.current or "")

    # Where one is

    def take_out(self, channel: str) -> None:
        """Have a channel's draft at hand, with what was kept of it.

        What was written while there was no channel is meant for the first one.
        """
        draft = self._older[channel] = self._store.load(channel)
        written = (self._drafts.pop("", None) or self._store.load("")).text
        self._store.save("", Draft())
        self._drafts[channel] = replace(draft, text=together(draft.text, written))
        if written:
            self._save(channel)

    def lay_open(self, channel: str) -> None:
        """Put a channel's draft into the composer."""
        self.channel = channel
        self._view.compose_with(self._of(channel).text, channel)

    def put_away(self) -> None:
        """Keep what lies in the composer; what was held is a part of the draft then."""
        here, held = self.here, self.release()
        self._drafts[self.channel] = replace(here, text=together(*held, here.text))
        self._save(self.channel)

    def readdress(self, channel: str) -> None:
        """Let what lies in the composer, and what is held, be for `channel` instead."""
        old, written = self.channel, self.here
        self.take_out(channel)
        before = self._of(channel).text
        self._drafts[channel] = replace(written, text=together(before, written.text))
        self.lay_open(channel)
        self._save(channel)
        self._drafts.pop(old, None)
        self._store.save(old, Draft())

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Keep what lies in the composer while another account takes the place of this one.

        A draft that the other account has for the same channel comes before it.
        """
        self.put_away()
        kept = self._store.load(self.channel)
        yield
        before = self._store.load(self.channel)
        if before != kept:
            here = self.here
            self._drafts[self.channel] = replace(here, text=together(before.text, here.text))
            self._save(self.channel)
            self.lay_open(self.channel)

    def withdraw(self, channel: str) -> str:
        """Return what was written for a channel since `take_out`; its older draft stays."""
        if channel == self.channel:
            self.put_away()
        written = self._drafts.pop(channel, Draft()).text
        older = self._older.get(channel, Draft())
        if not written.startswith(older.text):
            older = Draft()  # it was changed: what there is now is the text
        self._store.save(channel, older)
        return written.removeprefix(older.text).lstrip("\n")

    def hold(self, text: str) -> None:
        """Keep what was sent on the way into a channel, until `release`."""
        self._held.append(text)
        self._drafts[self.channel] = replace(self._of(self.channel), text="")
        self._save(self.channel)

    def release(self) -> list[str]:
        """Return what was held, in its order, to be sent now."""
        held, self._held = self._held, []
        return held

    def _save(self, channel: str) -> None:
        """Save a draft, with the texts that are held for the channel."""
        draft = self._of(channel)
        held = self._held if channel == self.channel else ()
        self._store.save(channel, replace(draft, text=together(*held, draft.text)))

    # What one writes

    def submit(self, text: str, channel: str) -> None:
        """Send a text, run it as a command, or change a message: what its draft is for."""
        self._drafts[channel] = replace(self._of(channel), text="")
        try:
            self._submit(text, channel)
        except ChatError as exc:
            self._view.say(str(exc), "warning")
            self.give_back(text, channel)

    def _submit(self, text: str, channel: str) -> None:
        draft = self._of(channel)
        if draft.aim is Aim.EDIT:
            self.change(draft.message, text)
            self._drafts[channel] = Draft()
            self.give_back(draft.aside, channel)
            self._view.redraw()
        elif parser.is_command(text):
            self._run(parser.parse(text))
        elif correction := substitution.read(text):
            last = self._desk.recent(channel).latest(self._desk.user) if channel else None
            self.change(last, substitution.corrected(correction, last))
        else:
            self._send(parser.literal(text), channel)
        self._save(channel)

    def change(self, message: Message | None, text: str) -> None:
        """Give a message of one's own another text."""
        check_length(text, self._desk.text_limit)
        if message is not None and message.seq is not None and text != message.text:
            self._core.edit(message.channel, message.seq, text)

    def post(self, text: str, *, me: bool = False, reply_to: int | None = None) -> None:
        """Send a message to the current channel, as an answer if one was begun."""
        self._send(text, self._desk.current or "", me=me, reply_to=reply_to)

    def _send(
        self, text: str, channel: str, *, me: bool = False, reply_to: int | None = None
    ) -> None:
        if not channel:
            raise Refused("You are in no channel yet. /join #general enters one.")
        check_length(text, self._desk.text_limit)
        draft = self._of(channel)
        if reply_to is None and draft.message is not None:
            reply_to = draft.message.seq
        self._core.send(channel, text, me=me, reply_to=reply_to)
        if draft.aim is Aim.REPLY:
            self._drafts[channel] = Draft()
            self._view.redraw()

    def begin_reply(self, message: Message) -> None:
        """Let the composer's text answer `message`."""
        if message.seq is None:
            self._view.say("The server has not confirmed that message yet.", "warning")
            return
        self._come_back(message.channel)
        self._lay_out(self.here.replying(message), message.channel)

    def begin_edit(self, message: Message) -> None:
        """Put one's own message into the composer, to change it."""
        if message.seq is None or message.erased or message.author != self._desk.user:
            self._view.say("Only your own messages can be changed, once confirmed.", "warning")
            return
        self._come_back(message.channel)
        self._lay_out(self.here.editing(message), message.channel)

    def edit_last(self) -> None:
        """Change the last message of one's own."""
        if message := self._desk.recent(self.channel).latest(self._desk.user):
            self.begin_edit(message)

    def give_up(self) -> None:
        """Answer or change nothing any more; the text stays."""
        if self.here.aim is not Aim.MESSAGE:
            self._lay_out(self.here.cancelled(), self.channel)

    def keep(self, text: str, channel: str) -> None:
        """Keep what was typed, for the case that the program ends here."""
        self._drafts[channel] = replace(self._of(channel), text=text)
        self._save(channel)

    def typing(self, active: bool, channel: str) -> None:
        """Tell the others that one is writing to them."""
        is_told = self._tells_typing and self._of(channel).aim is not Aim.EDIT
        if channel in self._desk.channels and is_told and self._desk.is_online:
            from chat.protocol.commands import Typing

            self._core.ask(Typing(channel=channel, state="start" if active else "stop"))

    def _of(self, channel: str) -> Draft:
        return self._drafts.get(channel, Draft())

    def _come_back(self, channel: str) -> None:
        """Leave off from the way into another channel."""
        if channel != self.channel:
            self.put_away()
            self.lay_open(channel)

    def _lay_out(self, draft: Draft, channel: str) -> None:
        self._drafts[channel] = draft
        self._save(channel)
        if channel == self.channel:
            if draft.text != self._view.composed():
                self._view.compose_with(draft.text, channel)
            self._view.redraw()

    def give_back(self, text: str, channel: str) -> None:
        """Give a text back to where it was written."""
        if not text:
            return
        if channel == self.channel:
            self._view.give_back(text)
            self._drafts[channel] = self.here
        else:
            draft = self._of(channel)
            self._drafts[channel] = replace(draft, text=together(text, draft.text))
        self._save(channel)
