"""Drafts of all channels and threads: saved while typing; sent, run or applied on Enter.

While the server is still answering a join, the composer already has the joined channel's draft, so
that text typed meanwhile is sent there. Texts submitted meanwhile are held until the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from chat.client.model.slash import parser
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import Message
from chat.client.presenter.acts import why_silent
from chat.client.presenter.composer import substitution
from chat.client.presenter.composer.draft import Aim, Draft, DraftStore, check_length, join_texts
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.state import ConversationState
from chat.client.presenter.view import Refused, View, sentence
from chat.client.sync.core import Core
from chat.errors import ChatError
from chat.text import is_typed_invitation, is_typed_link_code

__all__ = ["Drafts"]

_SIGN_IN_COMMANDS = ("/signin", "/name", "/connect")
_IS_CODE = (
    "This looks like a link code or an invitation. It was not sent as a message, and it is not "
    "kept. To sign in with it, use /signin and enter it there."
)
_EMPTY_EDIT = (
    "An edited message cannot be empty. To delete it: press Esc, select it with Ctrl+↑, press d."
)


class Drafts:
    """One draft for each channel and thread; at most two are open in composers.

    Args:
        run: runs a slash command; its `Invocation` names the thread that it was typed in.
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
        """Each channel's draft as it was saved when the channel was last opened."""
        self._held: list[str] = []
        self.channel = ""
        """The channel whose draft is in the channel composer; empty if there is no channel."""

    @property
    def open(self) -> list[PaneKey]:
        """Keys of the drafts that are open in composers."""
        thread = self._state.thread
        threads = [] if thread is None else [PaneKey(thread.channel, thread.root)]
        return [PaneKey(self.channel), *threads]

    @property
    def here(self) -> Draft:
        """The draft in the channel composer, with its current text."""
        return self.at(PaneKey(self.channel))

    def at(self, key: PaneKey) -> Draft:
        """Return a draft with its current text."""
        draft = self._of(key)
        return replace(draft, text=self._view.composed(key)) if key in self.open else draft

    @property
    def is_joining(self) -> bool:
        """Whether the composer belongs to a channel that is not shown yet."""
        return self.channel != (self._state.current or "")

    # Opening and closing drafts

    def load(self, channel: str) -> None:
        """Load a channel's saved draft.

        Text typed while there was no channel is appended to the first draft that is loaded.
        """
        key, nowhere = PaneKey(channel), PaneKey("")
        draft = self._older[channel] = self._store.load(key)
        written = (self._drafts.pop(nowhere, None) or self._store.load(nowhere)).text
        self._store.save(nowhere, Draft())
        self._drafts[key] = replace(draft, text=join_texts(draft.text, written))
        if written:
            self._save(key)

    def open_channel(self, channel: str) -> None:
        """Put a channel's draft into the channel composer."""
        self.channel = channel
        key = PaneKey(channel)
        self._view.compose_with(key, self._of(key).text)

    def open_thread(self, key: PaneKey) -> None:
        """Put a thread's saved draft into the thread composer."""
        draft = self._drafts[key] = self._store.load(key)
        self._view.compose_with(key, draft.text)

    def put_away(self) -> None:
        """Save the open drafts before another channel opens; held texts rejoin the draft."""
        self.keep_open()
        key, held = PaneKey(self.channel), self.release()
        draft = self._of(key)
        self._drafts[key] = replace(draft, text=join_texts(*held, draft.text))

    def keep_open(self) -> None:
        """Save the text of each open composer."""
        for key in self.open:
            self.keep(self._view.composed(key), key)

    def readdress(self, old: PaneKey, new: PaneKey) -> None:
        """Move the draft and the held texts of `old` to `new`, after the draft saved for `new`.

        Used when the server spells the channel differently, or the thread has another root.
        """
        written = self.at(old)
        self._store.save(old, Draft())
        del self._drafts[old]
        if new.thread is None:
            self.load(new.channel)
            self.channel = new.channel
        else:
            self._drafts[new] = self._store.load(new)
        draft = self._drafts[new] = self._of(new).followed_by(written)
        self._view.compose_with(new, draft.text)
        self._save(new)

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Keep the composer's text while another account replaces this one.

        It is appended to the other account's draft of the same channel.
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
            self.open_channel(self.channel)

    def withdraw(self, channel: str) -> str:
        """Return the text typed for a channel since `load`, and restore the draft of that time."""
        if channel == self.channel:
            self.put_away()
        key = PaneKey(channel)
        written = self._drafts.pop(key, Draft()).text
        older = self._older.get(channel, Draft())
        if not written.startswith(older.text):
            older = Draft()  # the old draft was edited: all of it is new text
        self._store.save(key, older)
        return written.removeprefix(older.text).lstrip("\n")

    def release(self) -> list[str]:
        """Return the held texts in order, to be sent now."""
        held, self._held = self._held, []
        return held

    def _save(self, key: PaneKey) -> None:
        """Save a draft, preceded by the texts held for its channel; a code is not saved."""
        draft = self._of(key)
        if self.holds_code(draft.text):
            draft = replace(draft, text="")
        held = self._held if key == PaneKey(self.channel) else ()
        self._store.save(key, replace(draft, text=join_texts(*held, draft.text)))

    # Typing and sending

    def submit(self, text: str, key: PaneKey) -> None:
        """Send a text, run it as a command, or apply it as an edit or a reply.

        Text for a channel that is still being joined is held. An empty text is ignored; for an
        edit, a notice explains how to delete the message. A code is dropped: a message is public.
        """
        if not text:
            if self._of(key).aim is Aim.EDIT:
                self._view.say(_EMPTY_EDIT, "warning")
            return
        if self.holds_code(text):
            self._view.say(_IS_CODE, "warning")
            self.keep("", key)
            return
        if self.is_joining and key == PaneKey(self.channel):
            self._held.append(text)
            self.keep("", key)
            return
        self._drafts[key] = replace(self._of(key), text="")
        try:
            self._submit(text, key)
        except ChatError as exc:
            self._view.say(sentence(str(exc)), "warning")
            self.give_back(text, key)
        else:
            self._save(key)

    def _submit(self, text: str, key: PaneKey) -> None:
        draft = self._of(key)
        if draft.aim is Aim.EDIT:
            self._edit(draft.message, text)
            self._drafts[key] = Draft()
            self.put_first(draft.aside, key)
        elif parser.is_command(text):
            self._run(replace(parser.parse(text), thread=key.thread))
        elif correction := substitution.parse(text):
            last = self._own_latest(key)
            self._edit(last, substitution.corrected(correction, last))
        else:
            self.send(parser.literal(text), key)

    def holds_code(self, text: str) -> bool:
        """Whether a text is a code, or a command for the sign-in that ends in one.

        No text is one as soon as the server has signed the user in. A command may end in a name
        without a hyphen that looks like a code.
        """
        if self._state.is_online:
            return False
        words = text.split()
        if not words or words[0].lower() not in _SIGN_IN_COMMANDS:
            return is_typed_link_code(text) or is_typed_invitation(text)
        ends = (" ".join(words[at:]) for at in range(1, len(words)))
        return any(
            is_typed_invitation(end) or (is_typed_link_code(end) and not end.isalnum())
            for end in ends
        )

    def drop_codes(self) -> None:
        """Clear the composers that contain a code: after the sign-in, Enter would send it."""
        for key in self.open:
            if self.holds_code(self._view.composed(key)):
                self._view.compose_with(key, "")
                self.keep("", key)

    def _edit(self, message: Message | None, text: str) -> None:
        check_length(text, self._state.text_limit)
        if message is not None and message.seq is not None and text != message.text:
            self._core.edit(message.channel, message.seq, text)

    def send(
        self,
        text: str,
        key: PaneKey,
        *,
        me: bool = False,
        reply_to: int | None = None,
        in_channel: bool = False,
    ) -> None:
        """Send a message to a channel or thread, as a reply if the draft is one, and show it.

        A reply appears only in its thread, unless `in_channel` or the draft says otherwise, or the
        server is too old.

        Raises:
            ChatError: there is no channel, the user may not write, or the text is too long.
        """
        if not key.channel:
            raise Refused("You have not joined a channel. Use /join #general to join one.")
        if reason := why_silent(self._state, key.channel):
            raise Refused(reason)
        check_length(text, self._state.text_limit)
        draft = self._of(key)
        if reply_to is None:
            replied = draft.message if draft.aim is Aim.REPLY else None
            reply_to = replied.seq if replied is not None else key.thread
        in_channel = in_channel or draft.in_channel or not self._state.connection.has_rooms
        thread_only = reply_to is not None and not in_channel
        self._core.send(key.channel, text, me=me, reply_to=reply_to, thread_only=thread_only)
        if thread_only and key.thread is None and reply_to is not None:
            self._view.sent_to_thread(key.channel, reply_to)
        elif key in self.open:
            self._view.show_newest(key)
        if draft.aim is Aim.REPLY or draft.in_channel:
            self._replace(self.at(key).cancelled(), key)

    def has_place_to_choose(self, key: PaneKey) -> bool:
        """Whether the next message is a reply that may also appear in the channel."""
        aim = self.at(key).aim
        is_reply = aim is Aim.REPLY or (aim is Aim.MESSAGE and key.thread is not None)
        return is_reply and self._state.connection.has_rooms

    def toggle_in_channel(self, key: PaneKey) -> bool:
        """Switch whether the next reply also appears in the channel; return the new state."""
        draft = self.at(key)
        self._replace(replace(draft, in_channel=not draft.in_channel), key)
        return not draft.in_channel

    def begin_reply(self, message: Message, thread: int | None = None) -> None:
        """Make the draft of the message's channel, or of a thread, a reply to `message`."""
        if message.seq is None:
            self._view.say("The server has not confirmed this message yet.", "warning")
            return
        key = self._return_to(PaneKey(message.channel, thread))
        self._replace(self.at(key).replying(message), key)

    def begin_edit(self, message: Message, thread: int | None = None) -> None:
        """Put the user's own message into the composer to edit it."""
        if message.seq is None or message.deleted or message.author != self._state.user:
            self._view.say(
                "You can edit only your own messages that the server has confirmed.", "warning"
            )
            return
        key = self._return_to(PaneKey(message.channel, thread))
        self._replace(self.at(key).editing(message), key)

    def edit_last(self, key: PaneKey) -> None:
        """Begin to edit the user's last message in a channel or thread."""
        if message := self._own_latest(key):
            self.begin_edit(message, key.thread)

    def cancel(self, key: PaneKey) -> None:
        """Cancel a reply or an edit; its text stays."""
        if self.at(key).aim is not Aim.MESSAGE:
            self._replace(self.at(key).cancelled(), key)

    def keep(self, text: str, key: PaneKey) -> None:
        """Save the text of a composer.

        The composers call it, through `keep_open` in the screens: `tui/composer/widget.py` half a
        second after a change, and again while typing goes on. Plain mode's `terminal.py` does the
        same. So a crash loses at most the last half second.
        """
        self._drafts[key] = replace(self._of(key), text=text)
        self._save(key)

    def typing(self, active: bool, key: PaneKey) -> None:
        """Tell the server that the user is typing; never while editing."""
        is_sent = self._tells_typing and self._of(key).aim is not Aim.EDIT
        is_sent = is_sent and not why_silent(self._state, key.channel)
        if key.channel in self._state.channels and is_sent and self._state.is_online:
            from chat.protocol.commands import Typing

            self._core.ask(Typing(channel=key.channel, state="start" if active else "stop"))

    def give_back(self, text: str, key: PaneKey) -> None:
        """Return a refused text to the composer or draft that it came from."""
        if not text:
            return
        if key in self.open:
            self._view.give_back(key, text)
            self.keep(self._view.composed(key), key)
        else:
            self.put_first(text, key)

    def put_first(self, text: str, key: PaneKey) -> None:
        """Insert a text before the draft's current text."""
        draft = self.at(key)
        self._replace(replace(draft, text=join_texts(text, draft.text)), key)

    def _of(self, key: PaneKey) -> Draft:
        if key not in self._drafts:
            self._drafts[key] = self._store.load(key)
        return self._drafts[key]

    def _own_latest(self, key: PaneKey) -> Message | None:
        return self._state.log(key.channel, key.thread).latest(self._state.user)

    def _return_to(self, key: PaneKey) -> PaneKey:
        """Return the composer to the message's channel if another one is being joined."""
        if key.channel != self.channel:
            self.put_away()
            self.open_channel(key.channel)
        return key

    def _replace(self, draft: Draft, key: PaneKey) -> None:
        self._drafts[key] = draft
        self._save(key)
        if key in self.open:
            if draft.text != self._view.composed(key):
                self._view.compose_with(key, draft.text)
            self._view.redraw()
