"""Follow channels over one connection: apply events, repair gaps, read pages.

Lives as long as the connection. What must be asked for (a hole, an older page, a channel without a
position) is asked by tasks of its own, a few at a time, so that a person's own commands find room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from chat.client.model.channel import Channel
from chat.client.model.fold import message_of
from chat.client.model.log_view import PAGE_PAUSE, VAIN_PAUSE, Change
from chat.client.model.notifications import NotificationRules
from chat.client.model.state import Message, Notice, NotificationDue, Update
from chat.client.network.backoff import Backoff
from chat.client.network.session import PAUSE_MAX, Session, insist, pause_after, refusal_of
from chat.client.storage.account import Account
from chat.client.sync.publisher import PAGE, Publisher
from chat.client.sync.server_prefs import MarkerSync, PreferenceSync
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError, ErrorCode, FrameError
from chat.protocol.commands import AnsweredBy, History, Join
from chat.protocol.frames import (
    ErrorFrame,
    Heads,
    Joined,
    Page,
    Preferences,
    PresenceFrame,
    Read,
    ServerFrame,
    Tick,
    TypingFrame,
    Welcome,
)
from chat.protocol.items import Event, Item
from chat.protocol.values import CHANNELS_MAX
from chat.text import fold

__all__ = ["ChannelSync"]

_log = logging.getLogger(__name__)

AT_ONCE = 4
RESUME_AFTER = 0.5
_BELOW = 50
_Answer = TypeVar("_Answer")


class ChannelSync:
    """The channels of one account, followed through one session.

    Args:
        account: what is known.
        session: signed in.
        screens: told what changes.
        put: takes notices.
        tasks: run what has to be asked for; end with the session.
        rules: for what the person is called.
    """

    def __init__(
        self,
        account: Account,
        session: Session,
        screens: Publisher,
        put: Callable[[Update], None],
        tasks: Tasks,
        rules: NotificationRules,
    ) -> None:
        self._account = account
        self._rules = rules
        self._session = session
        self._screens = screens
        self._put = put
        self._tasks = tasks
        self._room = asyncio.Semaphore(AT_ONCE)
        self._repairing: set[str] = set()
        self._refused: set[str] = set()
        self._to_join: dict[str, None] = {}
        self.marking = MarkerSync(account, self.ask, tasks)
        self.preferring = PreferenceSync(account, self.ask, screens, put, tasks)

    # The beginning

    def welcomed(self, welcome: Welcome, resumed: Iterable[str], again: Iterable[str]) -> None:
        """Take one's channels as the server counts them, and follow each.

        Args:
            welcome: lists them.
            resumed: channels whose position the server was told; it follows them unasked.
            again: built-in channels, whose membership ended with the last connection.
        """
        told = set(resumed)
        mine = {membership.channel for membership in welcome.channels}
        for channel in list(self._account.channels.values()):
            if channel.is_member and channel.name not in mine and channel.is_kept:
                self._forget(channel)
        for membership in welcome.channels:
            channel = self._account.followed(membership.channel)
            channel.is_member = True
            channel.topic, channel.role = membership.topic, membership.role
            channel.marked = membership.read
            channel.view.meet(membership.epoch, membership.head)
            channel.view.apply_counts(
                membership.read, membership.unread, membership.mentions, membership.head
            )
            self.preferring.take(channel, membership)
            if channel.name not in told:
                self._to_join[channel.name] = None
            self.marking.soon(channel)
        self._to_join.update(dict.fromkeys(again))
        self._screens.list_anew()
        if self._to_join:
            self._tasks.start(self._join_all())

    async def _join_all(self) -> None:
        """Follow the channels that `hello` did not resume, those on the screen first.

        Half of what may be sent at once, and a fifth of what may be sent lastingly, is left to the
        person's own commands.
        """
        limits = self._session.limits
        at_once = limits.burst // 2
        while self._to_join:
            channels = [self._account.followed(name) for name in self._to_join]
            chosen = min(channels, key=lambda channel: channel.shown_from is None)
            del self._to_join[chosen.name]
            if not chosen.is_attached:
                await self.join(chosen)
                at_once -= 1
                if at_once < 0:
                    # Four fifths of the allowed rate; the last fifth is the person's.
                    await asyncio.sleep(min(1.25 / limits.rate, PAUSE_MAX))

    async def join(self, channel: Channel) -> None:
        """Follow a channel from its position on; forget it if one may not."""
        try:
            position = channel.view.resume if channel.is_kept else None
            await self.ask(Join(channel=channel.name, resume=position))
        except CommandError as error:
            _log.warning("cannot follow a channel: %s", error.code)
            self._forget(channel)

    async def _join_after(self, channel: Channel, refusal: ErrorFrame) -> None:
        """Follow a channel that the server could not resume, after the pause that it asks for."""
        try:
            await asyncio.sleep(pause_after(refusal_of(refusal), Backoff(RESUME_AFTER)))
            if not channel.is_attached:
                await self.join(channel)
        finally:
            self._refused.discard(channel.name)

    # Frames

    def take(self, frame: ServerFrame) -> None:
        """Take a frame that answers nothing, or that matters beyond who asked for it."""
        match frame:
            case Joined():
                self._joined(frame)
            case Heads():
                self._heads(frame)
            case ErrorFrame(channel=str(name), retryable=True):
                channel = self._account.channels.get(name)
                if channel is not None and name not in self._refused:
                    self._refused.add(name)
                    self._tasks.start(self._join_after(channel, frame))
            case Event() | Read() | Preferences() | PresenceFrame() | TypingFrame() | Tick():
                if channel := self._account.channels.get(frame.channel):
                    self._news(channel, frame)

    def _news(
        self,
        channel: Channel,
        frame: Event | Read | Preferences | PresenceFrame | TypingFrame | Tick,
    ) -> None:
        match frame:
            case Event():
                self._changed(channel, channel.view.apply_event(frame), missed=False)
                self._repair_if_needed(channel)
            case Read():
                channel.marked = max(channel.marked, frame.seq)
                head = frame.head or channel.view.head  # one that does not say: as of now
                channel.view.apply_counts(frame.seq, frame.unread, frame.mentions, head)
                self._account.count_again(channel)
                self._account.touch(channel)
                self._screens.listing(channel.name)
            case Preferences(hidden=True):
                self._forget(channel)
            case Preferences():
                self.preferring.take(channel, frame)
            case PresenceFrame():
                if channel.apply_presence(frame):
                    self._screens.members(channel)
            case TypingFrame():
                if channel.apply_typing(frame):
                    self._screens.typing(channel)
            case Tick():
                self._screens.tick(channel, channel.tick(frame))

    def _heads(self, frame: Heads) -> None:
        for channel in list(self._account.channels.values()):
            head = frame.heads.get(channel.name)
            if head is not None:
                channel.view.apply_head(head)
                self._repair_if_needed(channel)
            elif channel.is_attached and channel.is_kept:
                self._forget(channel)  # left, on another device

    def _joined(self, frame: Joined) -> None:
        known = self._account.channels
        if frame.channel not in known and len(known) >= CHANNELS_MAX:
            raise FrameError(ErrorCode.INVALID, f"it opens more than {CHANNELS_MAX:,} channels")
        channel = self._account.followed(frame.channel)
        has_appeared = frame.id is None and not channel.is_member
        change = channel.view.apply_joined(frame)
        if change.reset:
            channel.marked = frame.read
        channel.joined(frame)
        self.preferring.take(channel, frame)
        self._changed(channel, change)
        if has_appeared:  # with its first message, which no event tells
            for item in frame.items:
                self._notify_of(channel, item)
        if change.reset and channel.shown_from is not None:
            self._screens.open(channel)
        self._screens.members(channel)
        self._screens.typing(channel)
        self._screens.listing(channel.name)
        self.marking.soon(channel)
        self.load_thread(channel)
        if not frame.complete:
            self._repair(channel)

    def _changed(self, channel: Channel, change: Change, *, missed: bool = True) -> None:
        """Pass on what came of something received; `missed`: it was read after it happened."""
        me = fold(self._account.me)
        for entry in change.entries:
            if channel.apply(entry):
                self._screens.members(channel)
            if fold(entry.author) != me:
                if not change.reset:
                    self._notify_of(channel, entry)
                continue
            if row := self._account.outbox.confirm(entry.cid):
                self._screens.line_at(channel, self._account.outbox.target_of(row))
                if row.channel != channel.name:  # a direct channel, typed in another spelling
                    self._screens.removed(self._account.followed(row.channel), row.cid)
                    self._screens.listing(row.channel)
            if entry.kind == "leave" and isinstance(entry, Event):
                self._forget(channel)
                return
        self._screens.lines(channel, change.lines, missed=missed)
        if change.entries or change.lines:
            self._account.count_again(channel)
            self._account.touch(channel)
            self._screens.listing(channel.name)

    def _notify_of(self, channel: Channel, entry: Item | Event) -> None:
        is_new = entry.kind == "message" and entry.seq > channel.view.read
        if is_new and self._rules.notifies(channel.name, entry, self._account.me, channel.wanted):
            text, me = entry.text or "", channel.view.me
            self._put(NotificationDue(channel.name, entry.author, text, me, entry.thread))

    def _forget(self, channel: Channel) -> None:
        self._account.forget(channel)
        self._screens.closed(channel.name)
        unsent = self._account.channels.get(channel.name)
        if unsent is not None and channel.shown_from is not None:
            self._screens.open(unsent)

    def left(self, name: str) -> None:
        """Forget a channel that one has left."""
        if channel := self._account.channels.get(name):
            self._forget(channel)

    # Gaps

    def _repair_if_needed(self, channel: Channel) -> None:
        if channel.is_attached and channel.view.needs_repair:
            self._repair(channel)

    def _repair(self, channel: Channel) -> None:
        if channel.name not in self._repairing:
            self._repairing.add(channel.name)
            self._tasks.start(self._read_on(channel))

    async def _read_on(self, channel: Channel) -> None:
        """Repair a gap: read what is missing after the position, until nothing is."""
        try:
            is_complete = False
            while not is_complete or channel.view.needs_repair:
                page = await self.ask(
                    History(
                        channel=channel.name,
                        after=channel.view.position,
                        limit=self._session.limits.page,
                    )
                )
                if page.epoch != channel.view.epoch:
                    await self.begin_anew(channel)
                    return
                before = channel.view.position
                self._changed(channel, channel.view.apply_after(page))
                is_complete = page.complete
                if channel.view.position == before:  # a head or an event that the log does not have
                    await asyncio.sleep(VAIN_PAUSE)
                elif not is_complete:
                    await asyncio.sleep(PAGE_PAUSE)
        except CommandError:
            self._forget(channel)
        finally:
            self._repairing.discard(channel.name)

    async def begin_anew(self, channel: Channel) -> None:
        """Follow a channel without a position: its log is another one now."""
        channel.view.forget()
        if channel.shown_from is not None:
            self._screens.open(channel)
        await self.join(channel)

    def load_before(self, channel: Channel, seq: int) -> None:
        """Read the page that ends before `seq`; the screens hear of it in any case."""
        if not channel.is_loading:
            channel.is_loading = True
            self._tasks.start(self._read_back(channel, seq))

    async def fetch(self, channel: Channel, seq: int) -> None:
        """Read the page that a message lies in, with some lines below it."""
        channel.is_loading = True
        await self._read_back(channel, min(seq + _BELOW, channel.view.position + 1))

    async def read_near(self, channel: Channel, seq: int, limit: int) -> list[Message]:
        """Read some lines before and after a message, and itself; nothing is kept of them."""
        page = await self.ask(History(channel=channel.name, around=seq, limit=limit))
        return [message_of(channel.name, item) for item in page.items]

    async def _read_back(self, channel: Channel, before: int) -> None:
        view = channel.view
        view.asked()
        try:
            page = await self.ask(History(channel=channel.name, before=before, limit=PAGE))
            if page.epoch == view.epoch:
                change = view.apply_before(page, before)
                if channel.shown_from is not None and before == channel.shown_from:
                    channel.shown_from = 1 if page.complete else page.items[0].seq
                self._screens.lines(channel, change.lines, missed=True)
                self._account.count_again(channel)
                self._account.touch(channel)
        except CommandError as error:
            self._put(Notice(f"cannot load older lines: {error.message}", "warning"))
        finally:
            view.answered()
            channel.is_loading = False
            self._screens.edges(channel)

    def load_thread(self, channel: Channel) -> None:
        """Read what the thread that is shown lacks, if it is one of this channel."""
        threads = self._screens.threads
        if channel.is_attached and threads.wants(channel):
            self._tasks.start(threads.load(channel, partial(self._thread_page, channel.name)))

    async def _thread_page(self, name: str, root: int, before: int | None) -> Page:
        return await self.ask(History(channel=name, thread=root, before=before, limit=PAGE))

    # Asking

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Ask; wait and send it again while the server says that it may succeed.

        Raises:
            CommandError: it is refused for good.
            Offline: the connection ended.
        """
        async with self._room:
            return await insist(self._session, command)
