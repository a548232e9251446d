"""Read a log and follow it, for `export` and `tail`.

What is printed is what the client's `LogView` applied for the first time: each number once, in
order, without a hole, through however many connections. Memory does not grow with the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from chat.client.model.coverage import Coverage
from chat.client.model.log_view import PAGE_PAUSE, VAIN_PAUSE, BrokenLog, Change, LogView
from chat.client.model.search_query import Since
from chat.client.scripting.client import ScriptClient
from chat.errors import ChatError, CommandError, ErrorCode
from chat.protocol.commands import Channels, History, Join
from chat.protocol.frames import Heads, Joined, ServerFrame
from chat.protocol.items import Event, Item
from chat.text import fold, is_direct

__all__ = ["AnotherLog", "LogReader", "enter"]

_PAGES_MAX = 1_000
"""Most pages of the directory that are read; a server may name a next one for ever."""


class AnotherLog(ChatError):
    """The channel's log is not the one that was read before: a backup was restored."""


async def enter(visit: ScriptClient, channel: str) -> Joined:
    """Join a channel to read it; unlike a person's `/join` this creates none.

    Raises:
        CommandError: there is no such channel.
    """
    await visit.session()
    is_member = fold(channel) in map(fold, visit.channels)
    if not is_member and not is_direct(channel) and not await _is_listed(visit, channel):
        raise CommandError(ErrorCode.NO_SUCH_CHANNEL, f"there is no channel {channel}")
    return await visit.ask(Join(channel=channel))


async def _is_listed(visit: ScriptClient, channel: str) -> bool:
    cursor: str | None = None
    for _ in range(_PAGES_MAX):
        listed = await visit.ask(Channels(cursor=cursor))
        if any(fold(each.channel) == fold(channel) for each in listed.channels):
            return True
        if listed.cursor is None or listed.cursor == cursor:
            return False
        cursor = listed.cursor
    return False


class LogReader:
    """A log, read from a position on.

    Args:
        show: prints what was applied, in order.
    """

    def __init__(self, show: Callable[[str, Iterable[Item | Event]], None]) -> None:
        self._show = show
        self._visit: ScriptClient | None = None
        self._view = LogView("", "")
        self._not_before = 0
        self._is_vain = False  # whether the last page brought nothing

    def take(self, frame: ServerFrame) -> None:
        """Take a live frame."""
        view = self._view
        if isinstance(frame, Event) and frame.channel == view.channel and view.epoch:
            self._applied(view.apply_event(frame))
        elif isinstance(frame, Heads) and view.epoch:
            view.apply_head(frame.heads.get(view.channel, 0))
        if self._visit is not None and view.needs_repair:
            self._visit.wake()

    async def begin(self, visit: ScriptClient, joined: Joined, start: Since | int) -> None:
        """Print everything from `start` up to the head in `joined`.

        Args:
            visit: asks.
            joined: of the channel.
            start: after which number, from which moment on, or (an int) how many of the newest.
        """
        if isinstance(start, int):
            after = max(0, joined.head - start)
        elif start.seq is not None:
            after = start.seq
        else:
            after = await self._last_before(visit, joined, start.ts)
            self._not_before = start.ts
        if after > joined.head:
            raise AnotherLog(f"{joined.channel} ends at {joined.head}: {after} is of another log")
        self._view = LogView(joined.channel, visit.user)
        self._view.restore(joined.epoch, after, None, Coverage())
        while self._view.position < joined.head:
            left = joined.head - self._view.position
            await self._read_page(visit, min(visit.limits.page, left))
            if self._is_vain:
                raise BrokenLog(
                    f"{joined.channel}: the log ends at {self._view.position}, "
                    f"its head is {joined.head}"
                )
        self._not_before = 0

    async def follow(self, visit: ScriptClient) -> None:
        """Print what happens from now on, through all connections to come; never returns."""
        self._visit = visit
        visit.wait_for_ever()
        while True:
            session = await visit.session()
            self._view.detach()
            await self._attach(visit)
            visit.wait_for_ever()
            while await visit.changed(session):
                if self._view.needs_repair:
                    await self._read_on(visit)
                    visit.wait_for_ever()

    async def _attach(self, visit: ScriptClient) -> None:
        view = self._view
        joined = await visit.ask(Join(channel=view.channel, resume=view.resume))
        if joined.epoch != view.epoch or joined.head < view.position:
            raise self._another()
        if joined.recovered:
            self._applied(view.apply_joined(joined))
        else:  # too much was missed to come at once, or the log is a copy put back by hand
            await self._check_mid(visit)
            view.apply_head(joined.head)
        if not joined.complete or not joined.recovered:
            await self._read_on(visit)

    async def _check_mid(self, visit: ScriptClient) -> None:
        view = self._view
        if view.mid is None or view.position < 1:
            return
        page = await visit.ask(History(channel=view.channel, after=view.position - 1, limit=1))
        if not page.items or page.items[0].mid != view.mid:
            raise self._another()

    async def _read_on(self, visit: ScriptClient) -> None:
        """Read to the end; its last page lets live events follow."""
        is_complete = False
        while not is_complete or self._view.needs_repair:
            is_complete = await self._read_page(visit, visit.limits.page)
            if self._is_vain:  # a head or an event that the log does not have
                await asyncio.sleep(VAIN_PAUSE)

    async def _read_page(self, visit: ScriptClient, limit: int) -> bool:
        view = self._view
        page = await visit.ask(History(channel=view.channel, after=view.position, limit=limit))
        if page.epoch != view.epoch:
            raise self._another()
        before = view.position
        self._applied(view.apply_after(page))
        self._is_vain = view.position == before
        if not page.complete:
            await asyncio.sleep(PAGE_PAUSE)
        return page.complete

    async def _last_before(self, visit: ScriptClient, joined: Joined, ts: int) -> int:
        """Return the number of the last line that is older than `ts`; 0 if there is none."""
        before: int | None = None
        while True:
            page = await visit.ask(
                History(channel=joined.channel, before=before, limit=visit.limits.page)
            )
            older = [item.seq for item in page.items if item.ts < ts]
            if older:
                return min(older[-1], joined.head)
            if page.complete:
                return 0
            if not page.items or (before is not None and page.items[0].seq >= before):
                raise BrokenLog(f"{joined.channel}: a page that goes no further")
            before = page.items[0].seq

    def _applied(self, change: Change) -> None:
        self._view.changed.clear()  # nothing looks a line up again
        entries = [entry for entry in change.entries if entry.ts >= self._not_before]
        self._show(self._view.channel, entries)

    def _another(self) -> AnotherLog:
        return AnotherLog(
            f"the log of {self._view.channel} was replaced (a backup was restored); the last "
            f"number of the old log was {self._view.position}"
        )
