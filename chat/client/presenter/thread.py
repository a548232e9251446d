"""Open and close the thread beside the channel.

Messages shown in the thread move only the thread's own marker. The channel's marker is one number,
and a reply read here says nothing about older messages elsewhere: the channel's timeline moves it.
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
    """Controls `ConversationState.thread`: at most one thread, of the shown channel."""

    def __init__(self, core: Core, state: ConversationState, view: View, drafts: Drafts) -> None:
        self._core = core
        self._state = state
        self._view = view
        self._drafts = drafts

    def show(self, channel: str, seq: int) -> None:
        """Show the thread of a message, or an empty thread that it starts.

        The thread's composer opens at once, so that the next key is typed in it.
        """
        self.close()
        line = self._state.log(channel).line(seq)
        thread = OpenThread(channel, seq, (line and line.thread) or seq)
        self._show(thread)
        self._drafts.open_thread(PaneKey(channel, thread.root))
        self._core.open_thread(channel, seq)
        self._view.redraw()

    def apply(self, update: ThreadChanged) -> None:
        """Show the core's update of the open thread."""
        thread = self._state.thread
        if thread is None or (update.channel, update.asked) != (thread.channel, thread.asked):
            return  # the thread was closed meanwhile
        if update.is_missing and is_blank(
            self._view.composed(PaneKey(thread.channel, thread.root))
        ):
            self.close()
            return
        if update.root != thread.root:
            # The message was a reply: its draft moves to the thread's real root.
            old, new = (PaneKey(thread.channel, root) for root in (thread.root, update.root))
            self._drafts.keep_open()
            thread = OpenThread(thread.channel, thread.asked, update.root)
            self._show(thread)
            self._drafts.readdress(old, new)
        self._view.update(PaneKey(thread.channel, thread.root), thread.log.apply(update.change))

    def close(self) -> None:
        """Close the thread and save its draft."""
        if self._state.thread is None:
            return
        self._drafts.keep_open()
        self._state.thread = None
        self._core.close_thread()
        self._view.close_thread()

    def _show(self, thread: OpenThread) -> None:
        self._state.thread = thread
        read = self._read(thread.root)
        key = PaneKey(thread.channel, thread.root)
        self._view.show(key, thread.log, self._state.user, read)

    def _read(self, root: int) -> int:
        """Return the marker of a thread; without rooms on the server, that of its channel.

        Only a thread with unread replies has a marker here: another one is read to its end.
        """
        info = self._state.info
        if info is None:
            return 0
        if not self._state.connection.has_rooms:
            return info.read
        return next((each.read for each in info.threads if each.root == root), info.head)
