"""The thread that the screens show beside a channel: from the cache at once, then as it goes on.

What it holds comes the way of all lines: what is said live, and what the server is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from chat.client.account import Account
from chat.client.followed import Followed
from chat.client.state import Message, Notice, ThreadChanged, TimelineChanged, Update
from chat.errors import CommandError, ErrorCode

if TYPE_CHECKING:
    from chat.protocol.frames import Page

__all__ = ["Threads"]


class Threads:
    """Gathers what changes in one thread at most; `tell` hands it over.

    Args:
        account: what is known.
        put: hands an update over.
    """

    def __init__(self, account: Account, put: Callable[[Update], None]) -> None:
        self._account = account
        self._put = put
        self._channel = ""
        self._asked = self._root = 0
        self._whole_from: int | None = None
        """The lowest number from which on nothing is missing; None: that is not known."""
        self._is_loading = False
        self._lines: dict[int | str, Message] = {}
        self._removed: list[str] = []
        self._is_edge_due = False

    @property
    def shown(self) -> tuple[str, int] | None:
        """The channel of the thread that is shown, and the message by which it was asked for."""
        return (self._channel, self._asked) if self._channel else None

    def shows(self, channel: Followed) -> bool:
        """Whether the thread is one of this channel."""
        return channel.name == self._channel

    # What has changed

    def open(self, channel: Followed, seq: int) -> None:
        """Show the thread of the message `seq`, as far as it is at hand."""
        self._asked = seq
        self._open(channel, seq)

    def _open(self, channel: Followed, seq: int) -> None:
        view = channel.view
        line = view.line(seq)
        self._channel, self._root = channel.name, (line and line.thread) or seq
        self._whole_from = None
        self._forget()
        span = view.coverage.around(self._root)
        if span is not None and span[1] >= view.position:
            self._whole_from = self._root
        unsent = (
            self._account.outbox.line_of(row, view.me)
            for row in self._account.outbox.rows(channel.name)
        )
        lines = self._account.thread(channel, self._root)
        lines += [line for line in unsent if line is not None and self._holds(channel, line)]
        self._tell(channel, TimelineChanged(channel.name, tuple(lines), reset=True))

    def repaint(self, channel: Followed) -> None:
        """Show the thread anew if it is one of this channel."""
        if self.shows(channel):
            self._open(channel, self._root)

    def close(self) -> None:
        """Show no thread any more."""
        self._channel = ""
        self._forget()

    def lines(self, channel: Followed, lines: Iterable[Message]) -> None:
        """Lines of a channel are new or changed."""
        if not self.shows(channel):
            return
        for line in lines:
            if self._holds(channel, line):
                if line.seq is not None:
                    self._lines.pop(line.cid or "", None)
                self._lines[line.seq or line.cid or ""] = line

    def removed(self, channel: Followed, cid: str) -> None:
        """A pending line is gone."""
        if self.shows(channel):
            self._lines.pop(cid, None)
            self._removed.append(cid)

    def tell(self) -> None:
        """Hand over what has gathered."""
        channel = self._account.channels.get(self._channel)
        if channel is None or not (self._lines or self._removed or self._is_edge_due):
            return
        numbered = sorted(
            (line for line in self._lines.values() if line.seq), key=lambda line: line.seq or 0
        )
        others = [line for line in self._lines.values() if not line.seq]
        removed = tuple(self._removed)
        self._forget()
        self._tell(channel, TimelineChanged(channel.name, (*numbered, *others), removed))

    # What the server has

    def wants(self, channel: Followed) -> bool:
        """Whether something of the thread is missing that the server may have."""
        return self.shows(channel) and not self._is_loading and self._whole_from != self._root

    async def load(
        self, channel: Followed, read: Callable[[int, int | None], Awaitable[Page]]
    ) -> None:
        """Read the newest page of the thread, or the one before what is whole.

        Args:
            channel: whose thread is shown.
            read: asks for a page of the thread with a root, before a number if one is given.
        """
        view, root, before = channel.view, self._root, self._whole_from
        self._is_loading = True
        view.asked()
        try:
            page = await read(root, before)
            if page.epoch == view.epoch and (self._channel, self._root) == (channel.name, root):
                self._loaded(channel, page)
                self._account.touch(channel)
        except CommandError as error:
            self._put(Notice(f"cannot load the thread: {error.message}", "warning"))
            if error.code == ErrorCode.NO_SUCH_MESSAGE:
                nothing = TimelineChanged(channel.name)
                self._put(ThreadChanged(channel.name, self._asked, root, nothing, is_none=True))
                self.close()
        finally:
            view.answered()
            self._is_loading = False
            self._is_edge_due = True
            self.tell()

    def _loaded(self, channel: Followed, page: Page) -> None:
        lines = channel.view.apply_thread(page)
        root = next((item.thread for item in page.items if item.thread), self._root)
        if root != self._root:  # it was named by a reply that nobody here knew
            self._open(channel, root)
        if page.items:
            self._whole_from = root if page.complete else page.items[0].seq
        self.lines(channel, lines)

    # Within

    def _holds(self, channel: Followed, line: Message) -> bool:
        if self._root in (line.seq, line.thread, line.reply_to):
            return True
        if line.reply_to is None or line.thread is not None:
            return False
        answered = channel.view.line(line.reply_to)
        return answered is not None and answered.thread == self._root

    def _tell(self, channel: Followed, change: TimelineChanged) -> None:
        outbox, me = self._account.outbox, self._account.me
        has_root = channel.view.line(self._root) is not None
        is_torn = has_root and self._whole_from not in (None, self._root)
        told = TimelineChanged(
            change.channel,
            upserts=tuple(outbox.decorate(line, me) for line in change.upserts),
            removed=change.removed,
            reset=change.reset,
            gap_before=(self._whole_from,) if is_torn and self._whole_from else (),
            complete=has_root,
        )
        self._put(ThreadChanged(channel.name, self._asked, self._root, told))

    def _forget(self) -> None:
        self._lines.clear()
        self._removed.clear()
        self._is_edge_due = False
