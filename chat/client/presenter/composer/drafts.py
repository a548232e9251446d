"""Drafts of all channels and threads: saved while one types, and sent, run or applied on Enter.

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
from chat.client.presenter.composer import substitution
from chat.client.presenter.composer.draft import Aim, Draft, DraftStore, check_length, join_texts
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.state import ConversationState
from chat.client.presenter.view import Refused, View
from chat.client.sync.core import Core
from chat.errors import ChatError

__all__ = ["Drafts"]


class Drafts:
    """One draft for each channel and each thread.

    Two of them may lie in composers: that of a channel, and that of the thread that is open.

    Args:
        run: runs a slash command; the `Invocation` names the thread in which it was written.
        tells_typing: whether typing is sent to the server.
    """

    def __init__(
        self,
        core: Core,
        store: DraftStore,
        state: ConversationState,
        view: View,
        run: Callable[[Invocation], None],
        *,
        tells_typing: bool,
    ) -> None:
        self._core = core
        self._store = store
        self._state = state
        self._view = view
        self._run = run
        self._tells_typing = tells_typing
        self._drafts: dict[PaneKey, Draft] = {}
        self._older: dict[str, Draft] = {}
        """Each channel's draft as it was before the channel was opened last."""
        self._held: list[str] = []
        self.channel = ""
        """Whose draft lies in the channel's composer; empty: that of no channel."""

    @property
    def open(self) -> list[PaneKey]:
        """The drafts that lie in composers."""
        thread = self._state.thread
        threads = [] if thread is None else [PaneKey(thread.channel, thread.root)]
        return [PaneKey(self.channel), *threads]

    @property
    def here(self) -> Draft:
        """The draft that lies in the channel's composer, with its text as it is now."""
        return self.at(PaneKey(self.channel))

    def at(self, key: PaneKey) -> Draft:
        """Return a draft, with its text as it is now."""
        draft = self._of(key)
        return replace(draft, text=self._view.composed(key)) if key in self.open else draft

    @property
    def is_on_the_way(self) -> bool:
        """Whether the composer is for a channel that is not shown yet."""
        return self.channel != (self._state.current or "")

    # Which drafts lie in composers

    def take_out(self, channel: str) -> None:
        """Have a channel's draft at hand, with what was kept of it.

        What was written while there was no channel is meant for the first one.
        """
        key, nowhere = PaneKey(channel), PaneKey("")
        draft = self._older[channel] = self._store.load(key)
        written = (self._drafts.pop(nowhere, None) or self._store.load(nowhere)).text
        self._store.save(nowhere, Draft())
        self._drafts[key] = replace(draft, text=join_texts(draft.text, written))
        if written:
            self._save(key)

    def lay_open(self, channel: str) -> None:
        """Put a channel's draft into the composer."""
        self.channel = channel
        key = PaneKey(channel)
        self._view.compose_with(key, self._of(key).text)

    def open_thread(self, key: PaneKey) -> None:
        """Put the draft of a thread into the thread's composer, as it was saved."""
        draft = self._drafts[key] = self._store.load(key)
        self._view.compose_with(key, draft.text)

    def put_away(self) -> None:
        """Keep what lies in composers; what was held is a part of the channel's draft then."""
        self.keep_open()
        key, held = PaneKey(self.channel), self.release()
        draft = self._of(key)
        self._drafts[key] = replace(draft, text=join_texts(*held, draft.text))

    def keep_open(self) -> None:
        """Keep what lies in composers."""
        for key in self.open:
            self.keep(self._view.composed(key), key)

    def readdress(self, old: PaneKey, new: PaneKey) -> None:
        """Let what was written for `old`, and what is held, be for `new`: that is its right name.

        A draft that was saved for `new` comes before it.
        """
        written = self.at(old)
        self._store.save(old, Draft())
        del self._drafts[old]
        if new.thread is None:
            self.take_out(new.channel)
            self.channel = new.channel
        else:
            self._drafts[new] = self._store.load(new)
        draft = self._drafts[new] = self._of(new).followed_by(written)
        self._view.compose_with(new, draft.text)
        self._save(new)

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Keep what lies in the composer while another account takes the place of this one.

        A draft that the other account has for the same channel comes before it.
        """
        self.put_away()
        key = PaneKey(self.channel)
        kept = self._store.load(key)
        yield
        key = PaneKey(self.channel)
        before = self._store.load(key)
        if before != kept:
            here = self.here
            self._drafts[key] = replace(here, text=join_texts(before.text, here.text))
            self._save(key)
            self.lay_open(self.channel)

    def withdraw(self, channel: str) -> str:
        """Return what was written for a channel since `take_out`; its older draft stays."""
        if channel == self.channel:
            self.put_away()
        key = PaneKey(channel)
        written = self._drafts.pop(key, Draft()).text
        older = self._older.get(channel, Draft())
        if not written.startswith(older.text):
            older = Draft()  # it was changed: what there is now is the text
        self._store.save(key, older)
        return written.removeprefix(older.text).lstrip("\n")

    def release(self) -> list[str]:
        """Return what `submit` held, in its order, to be sent now."""
        held, self._held = self._held, []
        return held

    def _save(self, key: PaneKey) -> None:
        """Save a draft, with the texts that are held for the channel."""
        draft = self._of(key)
        held = self._held if key == PaneKey(self.channel) else ()
        self._store.save(key, replace(draft, text=join_texts(*held, draft.text)))

    # Text in the composers

    def submit(self, text: str, key: PaneKey) -> None:
        """Send a text, run it as a command, or change a message: what its draft is for.

        Text for a channel that is not shown yet is held until it is.
        """
        if self.is_on_the_way and key == PaneKey(self.channel):
            self._held.append(text)
            self.keep("", key)
            return
        self._drafts[key] = replace(self._of(key), text="")
        try:
            self._submit(text, key)
        except ChatError as exc:
            self._view.say(str(exc), "warning")
            self.give_back(text, key)
        else:
            self._save(key)

    def _submit(self, text: str, key: PaneKey) -> None:
        draft = self._of(key)
        if draft.aim is Aim.EDIT:
            self._change(draft.message, text)
            self._drafts[key] = Draft()
            self.put_first(draft.aside, key)
        elif parser.is_command(text):
            self._run(replace(parser.parse(text), thread=key.thread))
        elif correction := substitution.parse(text):
            last = self._latest_of_mine(key)
            self._change(last, substitution.corrected(correction, last))
        else:
            self.send(parser.literal(text), key)

    def _change(self, message: Message | None, text: str) -> None:
        check_length(text, self._state.text_limit)
        if message is not None and message.seq is not None and text != message.text:
            self._core.edit(message.channel, message.seq, text)

    def send(
        self, text: str, key: PaneKey, *, me: bool = False, reply_to: int | None = None
    ) -> None:
        """Send a message to a channel or a thread, as an answer if one was begun.

        Raises:
            ChatError: there is no channel, or the text is too long; nothing was sent.
        """
        if not key.channel:
            raise Refused("You have not joined a channel. Use /join #general to join one.")
        check_length(text, self._state.text_limit)
        draft = self._of(key)
        if reply_to is None:
            replied = draft.message if draft.aim is Aim.REPLY else None
            reply_to = replied.seq if replied is not None else key.thread
        self._core.send(key.channel, text, me=me, reply_to=reply_to)
        if draft.aim is Aim.REPLY:
            self._lay_out(self.at(key).cancelled(), key)

    def begin_reply(self, message: Message, thread: int | None = None) -> None:
        """Let the text of the channel's or the thread's composer answer `message`."""
        if message.seq is None:
            self._view.say("The server has not confirmed this message yet.", "warning")
            return
        key = self._come_back(PaneKey(message.channel, thread))
        self._lay_out(self.at(key).replying(message), key)

    def begin_edit(self, message: Message, thread: int | None = None) -> None:
        """Put one's own message into the channel's or the thread's composer, to change it."""
        if message.seq is None or message.deleted or message.author != self._state.user:
            self._view.say(
                "You can edit only your own messages that the server has confirmed.", "warning"
            )
            return
        key = self._come_back(PaneKey(message.channel, thread))
        self._lay_out(self.at(key).editing(message), key)

    def edit_last(self, key: PaneKey) -> None:
        """Change the last message of one's own in a channel or a thread."""
        if message := self._latest_of_mine(key):
            self.begin_edit(message, key.thread)

    def give_up(self, key: PaneKey) -> None:
        """Answer or change nothing any more; the text stays."""
        if self.at(key).aim is not Aim.MESSAGE:
            self._lay_out(self.at(key).cancelled(), key)

    def keep(self, text: str, key: PaneKey) -> None:
        """Keep what was typed, for the case that the program ends here."""
        self._drafts[key] = replace(self._of(key), text=text)
        self._save(key)

    def typing(self, active: bool, key: PaneKey) -> None:
        """Tell the others that one is writing to them."""
        is_told = self._tells_typing and self._of(key).aim is not Aim.EDIT
        if key.channel in self._state.channels and is_told and self._state.is_online:
            from chat.protocol.commands import Typing

            self._core.ask(Typing(channel=key.channel, state="start" if active else "stop"))

    def give_back(self, text: str, key: PaneKey) -> None:
        """Give a text that was refused back to where it was written."""
        if not text:
            return
        if key in self.open:
            self._view.give_back(key, text)
            self.keep(self._view.composed(key), key)
        else:
            self.put_first(text, key)

    def put_first(self, text: str, key: PaneKey) -> None:
        """Put a text before what was typed since."""
        draft = self.at(key)
        self._lay_out(replace(draft, text=join_texts(text, draft.text)), key)

    def _of(self, key: PaneKey) -> Draft:
        if key not in self._drafts:
            self._drafts[key] = self._store.load(key)
        return self._drafts[key]

    def _latest_of_mine(self, key: PaneKey) -> Message | None:
        return self._state.log(key.channel, key.thread).latest(self._state.user)

    def _come_back(self, key: PaneKey) -> PaneKey:
        """Leave off from the way into another channel."""
        if key.channel != self.channel:
            self.put_away()
            self.lay_open(key.channel)
        return key

    def _lay_out(self, draft: Draft, key: PaneKey) -> None:
        self._drafts[key] = draft
        self._save(key)
        if key in self.open:
            if draft.text != self._view.composed(key):
                self._view.compose_with(key, draft.text)
            self._view.redraw()
