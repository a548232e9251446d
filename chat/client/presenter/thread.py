"""The open thread: which one it is, and its lines.

What shows there is not marked as read. The marker is one number for the whole channel: a reply
that was seen here says nothing of what was said before it elsewhere. The channel's timeline stands
beside the thread, and marks what it shows, as ever.
"""

from __future__ import annotations

from chat.client.model.state import ThreadChanged
from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.state import ConversationState, OpenThread
from chat.client.presenter.view import View
from chat.client.sync.core import Core
from chat.text import is_blank

__all__ = ["ThreadController"]


class ThreadController:
    """Opens and closes `state.thread`: one thread at most, of the channel that is shown."""

    def __init__(self, core: Core, state: ConversationState, view: View, drafts: Drafts) -> None:
        self._core = core
        self._state = state
        self._view = view
        self._drafts = drafts

    def show(self, channel: str, seq: int) -> None:
        """Show the thread that a message is in, or may begin.

        Its composer is there at once: what is typed next, however soon, is written in the thread.
        """
        self.close()
        line = self._state.log(channel).line(seq)
        thread = OpenThread(channel, seq, (line and line.thread) or seq)
        self._show(thread)
        self._drafts.open_thread(PaneKey(channel, thread.root))
        self._core.open_thread(channel, seq)
        self._view.redraw()

    def take_in(self, told: ThreadChanged) -> None:
        """Show what the core tells of it."""
        thread = self._state.thread
        if thread is None or (told.channel, told.asked) != (thread.channel, thread.asked):
            return  # it was closed meanwhile
        if told.is_missing and is_blank(self._view.composed(PaneKey(thread.channel, thread.root))):
            self.close()
            return
        if told.root != thread.root:
            # What has been written goes along to the message that the thread really begins with.
            old, new = (PaneKey(thread.channel, root) for root in (thread.root, told.root))
            self._drafts.keep_open()
            thread = OpenThread(thread.channel, thread.asked, told.root)
            self._show(thread)
            self._drafts.readdress(old, new)
        self._view.update(PaneKey(thread.channel, thread.root), thread.log.apply(told.change))

    def close(self) -> None:
        """Put it away, with what was being written in it."""
        if self._state.thread is None:
            return
        self._drafts.keep_open()
        self._state.thread = None
        self._core.close_thread()
        self._view.close_thread()

    def _show(self, thread: OpenThread) -> None:
        self._state.thread = thread
        read = self._state.info.read if self._state.info else 0
        key = PaneKey(thread.channel, thread.root)
        self._view.show(key, thread.log, self._state.user, read)
