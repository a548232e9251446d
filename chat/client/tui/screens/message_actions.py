"""Actions on one message of a timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from chat.client.model.fold import matching_emoji
from chat.client.model.state import Delivery, Message
from chat.client.presenter.acts import why_silent
from chat.client.presenter.commands.users import open_menu
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.markdown import links_of
from chat.client.presenter.workspace import Workspace
from chat.client.tui.screens.picker import confirm_deletion, confirm_discard, pick_emoji
from chat.text import fold

__all__ = ["MessageActions"]


class MessageActions:
    """Actions on messages; dialogs open on `screen`."""

    def __init__(self, screen: Screen[Any], workspace: Workspace) -> None:
        self._screen = screen
        self._workspace = workspace
        self._thread: int | None = None
        """The root of the thread in which the action was requested."""
        self._by_name: dict[str, Callable[[Message], None]] = {
            "author": self._show_author,
            "show": self._show,
            "thread": self._show_thread,
            "react": self._react,
            "delete": self._delete,
            "pin": self._pin,
            "copy": self._copy,
            "open": self._open,
            "retry": self._retry,
            "discard": self._discard,
        }

    def run(self, name: str, message: Message, thread: int | None) -> None:
        """Run the action `name` on a message of the channel, or of the thread with that root."""
        self._thread = thread
        if reason := self._why_not(name, message):
            self._conversation.view.say(reason, "warning")
        elif name == "reply":
            self._conversation.drafts.begin_reply(message, thread)
        elif name == "edit":
            self._conversation.drafts.begin_edit(message, thread)
        elif name != "thread" or thread is None:  # else the thread is already open
            self._by_name[name](message)

    @property
    def _conversation(self) -> Conversation:
        return self._workspace.front.conversation

    def _why_not(self, name: str, message: Message) -> str:
        """Return why the user may not do something with a message; empty if they may."""
        state = self._conversation.state
        if name in ("reply", "react", "edit", "retry"):
            return why_silent(state, message.channel)
        if name == "pin" and "pin" not in state.rights_in(message.channel):
            return why_silent(state, message.channel) or "Only moderators can pin messages here."
        return ""

    def _show_author(self, message: Message) -> None:
        open_menu(self._conversation, message.author)

    def _show(self, message: Message) -> None:
        """Show messages of an ignored user that are folded into one line."""
        state, thread = self._conversation.state, self._thread
        if message.seq is not None:
            state.reveal_run(state.log(message.channel, thread), message.seq)
            self._conversation.view.redraw()

    def _show_thread(self, message: Message) -> None:
        if message.seq is not None:
            self._conversation.threads.show(message.channel, message.seq)

    def _react(self, message: Message) -> None:
        if message.seq is None or message.deleted:
            return
        pick_emoji(self._screen, lambda emoji: self.toggle_reaction(message, emoji))

    def toggle_reaction(self, message: Message, emoji: str) -> None:
        """Add a reaction of the user to a message, or remove it."""
        conversation, me = self._conversation, fold(self._conversation.state.user)
        reactions = {each.emoji: each.names for each in message.reactions}
        emoji = matching_emoji(emoji, reactions)
        names = reactions.get(emoji, ())
        if message.seq is not None:
            remove = any(fold(name) == me for name in names)
            conversation.core.react(message.channel, message.seq, emoji, remove=remove)

    def _delete(self, message: Message) -> None:
        seq = message.seq
        if seq is None or message.deleted:
            return
        if not self._conversation.state.may_delete(message):
            self._conversation.view.say(
                "Only the author or a moderator can delete a message.", "warning"
            )
            return
        core, channel = self._conversation.core, message.channel
        confirm_deletion(self._screen, message, lambda: core.delete(channel, seq))

    def _pin(self, message: Message) -> None:
        if message.seq is not None and not message.deleted:
            conversation, number = self._conversation, message.seq
            conversation.core.pin(message.channel, number, remove=message.pinned)
            done, undo = ("Unpinned", "pin") if message.pinned else ("Pinned", "unpin")
            conversation.view.say(f"{done} for everyone. To undo, type /{undo} {number}.")

    def _copy(self, message: Message) -> None:
        self._conversation.view.copy(message.text)

    def _open(self, message: Message) -> None:
        self._conversation.view.open_links(links_of(message.text))

    def _retry(self, message: Message) -> None:
        if message.cid is not None and message.delivery is Delivery.FAILED:
            self._conversation.core.retry(message.cid)

    def _discard(self, message: Message) -> None:
        cid = message.cid
        if cid is None or message.delivery is Delivery.SENT:
            return
        core = self._conversation.core
        confirm_discard(self._screen, message, lambda: core.discard(cid))
