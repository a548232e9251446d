"""Read a log and follow it, for `export` and `tail`.

It prints the entries that `LogView` applies for the first time: each seq once, in order, without a
gap, across reconnects. Memory does not grow with the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from chat.client.model.coverage import Coverage
from chat.client.model.describe import ending
from chat.client.model.log_view import EMPTY_PAGE_PAUSE, PAGE_PAUSE, BrokenLog, Change, LogView
from chat.client.model.search_query import Since
from chat.client.model.state import MembershipEnded
from chat.client.scripting.client import ScriptClient
from chat.client.scripting.output import full_moment
from chat.errors import ChatError
from chat.protocol.commands import History, Join
from chat.protocol.frames import Heads, Joined, Removed, ServerFrame
from chat.protocol.items import Event, Item

__all__ = ["LogReader", "LogReplaced", "NoLongerMember"]


class LogReplaced(ChatError):
    """The channel's log was replaced since it was read: a backup was restored."""


class NoLongerMember(ChatError):
    """Someone else ended the user's membership of the channel, or deleted it."""


class LogReader:
    """Prints a log from a position on.

    Args:
        show: prints the applied entries, in order.
    """

    def __init__(self, show: Callable[[str, Iterable[Item | Event]], None]) -> None:
        self._show = show
        self._visit: ScriptClient | None = None
        self._view = LogView("", "")
        self._not_before = 0
        self._is_page_empty = False  # whether the last page had no new entries
        self._is_attaching = False  # whether a join is not answered yet

    def take(self, frame: ServerFrame) -> None:
        """Apply a frame; the answer to a join as well, because events may follow at once."""
        view = self._view
        if isinstance(frame, Joined) and frame.channel == view.channel and self._is_attaching:
            self._apply_joined(frame)
        elif isinstance(frame, Event) and frame.channel == view.channel and view.epoch:
            self._show_change(view.apply_event(frame))
        elif isinstance(frame, Removed) and frame.channel == view.channel and frame.act:
            raise NoLongerMember(
                ending(
                    MembershipEnded(
                        frame.channel, frame.act, frame.by or "", frame.until, frame.reason or ""
                    ),
                    full_moment,
                )
            )
        elif isinstance(frame, Heads) and view.epoch:
            view.apply_head(frame.heads.get(view.channel, 0))
        if self._visit is not None and view.needs_repair:
            self._visit.wake()

    async def print_from(self, client: ScriptClient, joined: Joined, start: Since | int) -> None:
        """Print everything from `start` up to the head in `joined`.

        Args:
            client: sends the requests.
            joined: the answer to `Join`.
            start: the seq or time to start after, or (an int) the number of newest entries.
        """
        if isinstance(start, int):
            after = max(0, joined.head - start)
        elif start.seq is not None:
            after = start.seq
        else:
            after = await self._last_before(client, joined, start.ts)
            self._not_before = start.ts
        if after > joined.head:
            raise LogReplaced(
                f"{joined.channel} ends at number {joined.head}; number {after} is from a "
                "replaced log"
            )
        self._view = LogView(joined.channel, client.user)
        self._view.restore(joined.epoch, after, None, Coverage())
        while self._view.position < joined.head:
            left = joined.head - self._view.position
            await self._read_page(client, min(client.limits.page, left))
            if self._is_page_empty:
                raise BrokenLog(
                    f"{joined.channel}: the log ends at {self._view.position}, "
                    f"but its head is {joined.head}"
                )
        self._not_before = 0

    async def follow(self, client: ScriptClient) -> None:
        """Print new entries, across reconnects; never returns."""
        self._visit = client
        client.suspend_timeout()
        while True:
            session = await client.session()
            self._view.detach()
            await self._attach(client)
            client.suspend_timeout()
            while await client.changed(session):
                if self._view.needs_repair:
                    await self._read_gap(client)
                    client.suspend_timeout()

    async def _attach(self, client: ScriptClient) -> None:
        view = self._view
        position, mid = view.position, view.mid
        self._is_attaching = True
        try:
            joined = await client.ask(Join(channel=view.channel, resume=view.resume))
        finally:
            self._is_attaching = False
        if not joined.recovered and position and mid is not None:
            await self._check_mid(client, position, mid)
        if not joined.complete or not joined.recovered:
            await self._read_gap(client)

    def _apply_joined(self, joined: Joined) -> None:
        view = self._view
        if joined.epoch != view.epoch or joined.head < view.position:
            raise self._log_replaced()
        if joined.recovered:
            self._show_change(view.apply_joined(joined))
        else:  # too many missed entries, or a log restored by hand
            view.apply_head(joined.head)

    async def _check_mid(self, client: ScriptClient, position: int, mid: str) -> None:
        channel = self._view.channel
        page = await client.ask(History(channel=channel, after=position - 1, limit=1))
        if not page.items or page.items[0].mid != mid:
            raise self._log_replaced()

    async def _read_gap(self, client: ScriptClient) -> None:
        """Read to the end of the log; live events follow its last page."""
        is_complete = False
        while not is_complete or self._view.needs_repair:
            is_complete = await self._read_page(client, client.limits.page)
            if self._is_page_empty:  # the log ends before the reported head
                await asyncio.sleep(EMPTY_PAGE_PAUSE)

    async def _read_page(self, client: ScriptClient, limit: int) -> bool:
        view = self._view
        page = await client.ask(History(channel=view.channel, after=view.position, limit=limit))
        if page.epoch != view.epoch:
            raise self._log_replaced()
        before = view.position
        self._show_change(view.apply_after(page))
        self._is_page_empty = view.position == before
        if not page.complete:
            await asyncio.sleep(PAGE_PAUSE)
        return page.complete

    async def _last_before(self, client: ScriptClient, joined: Joined, ts: int) -> int:
        """Return the seq of the last entry older than `ts`; 0 if there is none."""
        before: int | None = None
        while True:
            page = await client.ask(
                History(channel=joined.channel, before=before, limit=client.limits.page)
            )
            older = [item.seq for item in page.items if item.ts < ts]
            if older:
                return min(older[-1], joined.head)
            if page.complete:
                return 0
            if not page.items or (before is not None and page.items[0].seq >= before):
                raise BrokenLog(f"{joined.channel}: the server sent a page that does not advance")
            before = page.items[0].seq

    def _show_change(self, change: Change) -> None:
        self._view.changed.clear()  # lines are never looked up
        entries = [entry for entry in change.entries if entry.ts >= self._not_before]
        self._show(self._view.channel, entries)

    def _log_replaced(self) -> LogReplaced:
        return LogReplaced(
            f"the log of {self._view.channel} was replaced (a backup was restored); the last "
            f"number of the old log was {self._view.position}"
        )
