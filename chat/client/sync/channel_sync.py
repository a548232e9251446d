"""Sync channels over one connection: apply events, repair gaps, load pages.

Lives as long as the connection. Requests (gaps, older pages, joins) run in a few tasks at a time,
so that they do not delay the user's own commands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from chat.client.model.channel import Channel
from chat.client.model.fold import message_of
from chat.client.model.log_view import EMPTY_PAGE_PAUSE, PAGE_PAUSE, Change
from chat.client.model.membership import Invitation
from chat.client.model.notifications import NotificationRules
from chat.client.model.state import (
    MembershipEnded,
    Message,
    Notice,
    NotificationDue,
    Update,
)
from chat.client.network.backoff import PAUSE_MAX, Backoff
from chat.client.network.session import Session, ask_with_retries, refusal_of
from chat.client.storage.account import Account
from chat.client.sync.publisher import PAGE, Publisher
from chat.client.sync.server_prefs import MarkerSync, PreferenceSync
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError, ErrorCode, FrameError
from chat.protocol.commands import AnsweredBy, History, Join
from chat.protocol.frames import (
    ErrorFrame,
    Heads,
    Ignored,
    Invited,
    Joined,
    Preferences,
    PresenceFrame,
    Read,
    Removed,
    ServerFrame,
    Tick,
    TypingFrame,
    Welcome,
)
from chat.protocol.items import Event, Item
from chat.protocol.values import CHANNELS_MAX
from chat.rights import MEMBER, OWNER
from chat.text import GENERAL, fold, is_direct

__all__ = ["ChannelSync"]

_log = logging.getLogger(__name__)

AT_ONCE = 4
RESUME_AFTER = 0.5
_BELOW = 50
_Answer = TypeVar("_Answer")


class ChannelSync:
    """The channels of one account, synced through one session.

    Args:
        account: the account.
        session: signed in.
        publisher: publishes changes.
        put: takes notices.
        tasks: run the requests; end with the session.
        rules: which messages notify the user.
        has_rooms: whether the server knows roles, moderation and followed threads.
    """

    def __init__(
        self,
        account: Account,
        session: Session,
        publisher: Publisher,
        put: Callable[[Update], None],
        tasks: Tasks,
        rules: NotificationRules,
        *,
        has_rooms: bool,
    ) -> None:
        self._account = account
        self._rules = rules
        self._session = session
        self._publisher = publisher
        self._put = put
        self._tasks = tasks
        self._has_rooms = has_rooms
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._repairing: set[str] = set()
        self._outdated: set[str] = set()
        """Channels to read from the beginning, because an erased person's lines are cached."""
        self._due_joins: set[str] = set()
        """Channels that are joined after a delay, because the server could not follow them."""
        self._join_backoffs: dict[str, Backoff] = {}
        self._to_join: dict[str, None] = {}
        self.markers = MarkerSync(account, self.ask, tasks, has_rooms=has_rooms)
        self.preferences = PreferenceSync(account, self.ask, publisher, put, tasks)

    # Start

    def start(self, welcome: Welcome, resumed: Iterable[str], again: Iterable[str]) -> None:
        """Apply the channel list in `welcome`, and join each channel that was not resumed.

        Args:
            welcome: the answer to `hello`.
            resumed: channels that `hello` resumed; the server sends `joined` for them.
            again: built-in channels, whose membership ended with the last connection.
        """
        is_resumed = set(resumed)
        mine = {membership.channel for membership in welcome.channels}
        for channel in list(self._account.channels.values()):
            if channel.is_member and channel.name not in mine and channel.is_stored:
                self._forget(channel)
        for membership in welcome.channels:
            channel = self._account.ensure_channel(membership.channel)
            channel.server_read = membership.read
            channel.view.check_log(membership.epoch, membership.head)
            channel.listed(membership)
            channel.view.apply_counts(
                membership.read, membership.unread, membership.mentions, membership.head
            )
            self.preferences.take(channel, membership)
            if channel.name not in is_resumed:
                self._to_join[channel.name] = None
            self.markers.schedule(channel)
        self._to_join.update(dict.fromkeys(again))
        self._set_ignored(welcome.ignored)
        invitations = map(Invitation.from_frame, welcome.invited)
        self._account.invitations = {each.channel: each for each in invitations}
        self._publisher.invitations_changed()
        self._publisher.publish_list()
        if self._to_join:
            self._tasks.start(self._join_all())

    async def _join_all(self) -> None:
        """Join the channels that `hello` did not resume; shown channels come first.

        Half of the allowed burst, and a fifth of the allowed rate, are reserved for the user's own
        commands.
        """
        limits = self._session.limits
        at_once = limits.burst // 2
        while self._to_join:
            channels = [self._account.ensure_channel(name) for name in self._to_join]
            chosen = min(channels, key=lambda channel: channel.shown_from is None)
            del self._to_join[chosen.name]
            if not chosen.is_attached:
                await self.join(chosen)
                at_once -= 1
                if at_once < 0:
                    # Four fifths of the allowed rate; the last fifth is for the user.
                    await asyncio.sleep(min(1.25 / limits.rate, PAUSE_MAX))

    async def join(self, channel: Channel) -> None:
        """Join a channel, resuming at its position; see `_not_followed` for errors."""
        position = channel.view.resume if channel.is_stored else None
        try:
            await self._ask_once(Join(channel=channel.name, resume=position))
        except CommandError as error:
            self._not_followed(channel, error)

    def _not_followed(self, channel: Channel, error: CommandError) -> None:
        """Forget a channel that the server refuses; join it later if the error may pass."""
        _log.warning("cannot follow a channel: %s", error.code)
        if _may_pass(error):
            channel.is_attached = False
            self._join_later(channel.name, error)
        else:
            self._forget(channel)

    async def join_direct(self, name: str) -> None:
        """Join a new direct channel before the first send to it, so that no event is missed."""
        if is_direct(name) and not self._account.ensure_channel(name).is_member:
            answer = await self.ask(Join(channel=name))
            if answer.channel != name:
                self._account.ensure_channel(name).is_member = True  # known with another spelling

    def _join_later(self, name: str, error: CommandError) -> None:
        """Join a channel after a delay that grows with each error."""
        if name not in self._due_joins:
            self._due_joins.add(name)
            backoff = self._join_backoffs.setdefault(name, Backoff(RESUME_AFTER))
            self._tasks.start(self._join_after(name, backoff.after(error)))

    async def _join_after(self, name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        if name in self._due_joins:  # not left meanwhile
            self._due_joins.discard(name)
            channel = self._account.ensure_channel(name)
            if not channel.is_attached:
                await self.join(channel)

    # Frames

    def take(self, frame: ServerFrame) -> None:
        """Apply a frame."""
        match frame:
            case Joined():
                self._joined(frame)
            case Heads():
                self._heads(frame)
            case Removed():
                self._removed(frame)
            case Invited():
                self._invited(frame)
            case Ignored():
                self._set_ignored(frame.names)
                self._publisher.publish_list()
            case ErrorFrame(channel=str(name)):
                self._not_resumed(name, refusal_of(frame))
            case Event() | Read() | Preferences() | PresenceFrame() | TypingFrame() | Tick():
                if channel := self._account.channels.get(frame.channel):
                    self._take_channel_frame(channel, frame)

    def _not_resumed(self, name: str, error: CommandError) -> None:
        """Join a channel of the user that the server could not follow by itself.

        It may be unknown here: a new direct channel, or one that another device has joined.
        """
        known = self._account.channels
        if _may_pass(error) and (name in known or len(known) < CHANNELS_MAX):
            self._join_later(name, error)

    def _take_channel_frame(
        self,
        channel: Channel,
        frame: Event | Read | Preferences | PresenceFrame | TypingFrame | Tick,
    ) -> None:
        match frame:
            case Event():
                self._changed(channel, channel.view.apply_event(frame), missed=False)
                self._repair_if_needed(channel)
            case Read():
                self._read(channel, frame)
            case Preferences(hidden=True):
                self._forget(channel)
            case Preferences():
                self.preferences.take(channel, frame)
            case PresenceFrame():
                if channel.apply_presence(frame):
                    self._publisher.members_changed(channel)
            case TypingFrame():
                if channel.apply_typing(frame):
                    self._publisher.typing_changed(channel)
            case Tick():
                self._publisher.tick(channel, channel.tick(frame))

    def _read(self, channel: Channel, frame: Read) -> None:
        """Apply a read marker that was moved on any device."""
        if frame.thread is not None:
            channel.view.threads.apply_read(frame)
        else:
            channel.server_read = max(channel.server_read, frame.seq)
            head = frame.head or channel.view.head  # older servers do not send `head`
            channel.view.apply_counts(frame.seq, frame.unread, frame.mentions, head)
            self._account.recount(channel)
        self._account.touch(channel)
        self._publisher.channel_changed(channel.name)

    def _heads(self, frame: Heads) -> None:
        for channel in list(self._account.channels.values()):
            head = frame.heads.get(channel.name)
            if head is not None:
                channel.view.apply_head(head)
                self._repair_if_needed(channel)
            elif channel.is_attached and channel.is_stored:
                self._forget(channel)  # left on another device

    def _joined(self, frame: Joined) -> None:
        known = self._account.channels
        if frame.channel not in known and len(known) >= CHANNELS_MAX:
            raise FrameError(ErrorCode.INVALID, f"more than {CHANNELS_MAX:,} channels")
        channel = self._account.ensure_channel(frame.channel)
        has_appeared = frame.id is None and not channel.is_member
        change = channel.view.apply_joined(frame)
        if change.reset:
            channel.server_read = frame.read
        channel.joined(frame)
        self.preferences.take(channel, frame)
        self._changed(channel, change)
        if has_appeared:  # its first message has no event
            for item in frame.items:
                self._notify(channel, item)
        if change.reset and channel.shown_from is not None:
            self._publisher.open(channel)
        self._publisher.members_changed(channel)
        self._publisher.typing_changed(channel)
        self._publisher.channel_changed(channel.name)
        self.markers.schedule(channel)
        self.load_thread(channel)
        if not frame.complete:
            self._repair(channel)

    def _changed(self, channel: Channel, change: Change, *, missed: bool = True) -> None:
        """Publish a change; `missed`: the entries were read after they happened."""
        me = fold(self._account.me)
        for entry in change.entries:
            if channel.apply(entry):
                self._publisher.members_changed(channel)
            if fold(entry.author) != me:
                if not change.reset:
                    self._notify(channel, entry)
                continue
            if row := self._account.outbox.confirm(entry.cid):
                self._publisher.line_changed(channel, row.target)
                if row.channel != channel.name:  # a direct channel typed in another spelling
                    self._publisher.line_removed(self._account.ensure_channel(row.channel), row.cid)
                    self._publisher.channel_changed(row.channel)
            if entry.kind == "leave" and isinstance(entry, Event):
                self._forget(channel)
                return
        self._publisher.lines_changed(channel, change.lines, missed=missed)
        self._publisher.expired(channel, change.expired)
        if not change.reset and any(entry.kind == "erased_user" for entry in change.entries):
            self._outdated.add(channel.name)
            self._repair(channel)
        if change.entries or change.lines:
            self._account.recount(channel)
            self._account.touch(channel)
            self._publisher.channel_changed(channel.name)

    def _notify(self, channel: Channel, entry: Item | Event) -> None:
        view, read, follows = channel.view, channel.view.read, False
        if entry.thread_only and entry.thread is not None:
            thread = view.threads.get(entry.thread)
            read, follows = thread.read, thread.following
        is_new = entry.kind == "message" and entry.seq > read
        if not is_new or self._account.ignores(entry.author):
            return
        preference = channel.effective_preference
        if self._rules.notifies(channel.name, entry, self._account.me, preference, follows=follows):
            self._put(
                NotificationDue(
                    channel.name,
                    entry.author,
                    entry.text or "",
                    view.me,
                    entry.thread,
                    entry.thread_only,
                )
            )

    def _removed(self, frame: Removed) -> None:
        """Forget a channel that someone else removed the user from; say who and why."""
        self.forget(frame.channel)
        if frame.act in ("kick", "ban", "deleted"):
            self._put(
                MembershipEnded(
                    frame.channel, frame.act, frame.by or "", frame.until, frame.reason or ""
                )
            )

    def _invited(self, frame: Invited) -> None:
        invitation = Invitation.from_frame(frame.invitation)
        known = self._account.invitations
        is_known = known.pop(invitation.channel, None) is not None
        if not frame.remove:  # the newest comes first
            self._account.invitations = {invitation.channel: invitation, **known}
        is_new = not frame.remove and not is_known
        self._publisher.invitations_changed(invitation if is_new else None)

    def _set_ignored(self, names: Sequence[str]) -> None:
        self._account.set_ignored(names)
        self._publisher.ignored_changed()

    def role_changed(self, role: str) -> None:
        """Apply the user's role on the server: its admins own `#general`."""
        channel = self._account.channels.get(GENERAL)
        if channel is not None and self._has_rooms:
            channel.role = OWNER if role == "admin" else MEMBER
            self._account.touch(channel)
            self._publisher.channel_changed(GENERAL)

    def _forget(self, channel: Channel) -> None:
        self._due_joins.discard(channel.name)
        self._account.forget(channel)
        self._publisher.channel_removed(channel.name)
        unsent = self._account.channels.get(channel.name)
        if unsent is not None and channel.shown_from is not None:
            self._publisher.open(unsent)

    def forget(self, name: str) -> None:
        """Forget a channel that the user has left, or that the server has renamed."""
        self._due_joins.discard(name)
        if channel := self._account.channels.get(name):
            self._forget(channel)

    # Gaps

    def _repair_if_needed(self, channel: Channel) -> None:
        if channel.is_attached and channel.view.needs_repair:
            self._repair(channel)

    def _repair(self, channel: Channel) -> None:
        if channel.name not in self._repairing:
            self._repairing.add(channel.name)
            self._tasks.start(self._read_gap(channel))

    async def _read_gap(self, channel: Channel) -> None:
        """Read the missing entries after the position, or all again if the lines are outdated."""
        try:
            is_complete = False
            while not is_complete or channel.view.needs_repair or channel.name in self._outdated:
                if channel.name in self._outdated:
                    self._outdated.discard(channel.name)
                    await self.rejoin(channel)
                    return
                page = await self.ask(
                    History(
                        channel=channel.name,
                        after=channel.view.position,
                        limit=self._session.limits.page,
                    )
                )
                if page.epoch != channel.view.epoch:
                    await self.rejoin(channel)
                    return
                before = channel.view.position
                self._changed(channel, channel.view.apply_after(page))
                is_complete = page.complete
                if channel.view.position == before:  # the log ends before the reported head
                    await asyncio.sleep(EMPTY_PAGE_PAUSE)
                elif not is_complete:
                    await asyncio.sleep(PAGE_PAUSE)
        except CommandError as error:
            self._not_followed(channel, error)
        finally:
            self._repairing.discard(channel.name)

    async def rejoin(self, channel: Channel) -> None:
        """Forget a channel's lines and join without a position: the log was replaced or erased."""
        channel.view.forget()
        if channel.shown_from is not None:
            self._publisher.open(channel)
        await self.join(channel)

    def load_before(self, channel: Channel, seq: int) -> None:
        """Load the page before `seq`; an update follows in any case."""
        if not channel.is_loading:
            channel.is_loading = True
            self._tasks.start(self._read_before(channel, seq))

    async def fetch(self, channel: Channel, seq: int) -> None:
        """Load the page that contains a message, with some lines after it."""
        channel.is_loading = True
        await self._read_before(channel, min(seq + _BELOW, channel.view.position + 1))

    async def read_near(self, channel: Channel, seq: int, limit: int) -> list[Message]:
        """Read some lines around a message, without storing them."""
        page = await self.ask(History(channel=channel.name, around=seq, limit=limit))
        return [message_of(channel.name, item) for item in page.items]

    async def _read_before(self, channel: Channel, before: int) -> None:
        view = channel.view
        view.page_requested()
        try:
            page = await self.ask(History(channel=channel.name, before=before, limit=PAGE))
            if page.epoch == view.epoch:
                change = view.apply_before(page, before)
                if channel.shown_from is not None and before == channel.shown_from:
                    channel.shown_from = 1 if page.complete else page.items[0].seq
                self._publisher.lines_changed(channel, change.lines, missed=True)
                self._account.recount(channel)
                self._account.touch(channel)
        except CommandError as error:
            self._put(Notice(f"Cannot load older messages: {error.message}", "warning"))
        finally:
            view.page_received()
            channel.is_loading = False
            self._publisher.edges_changed(channel)

    def load_thread(self, channel: Channel) -> None:
        """Load missing replies of the open thread, if it belongs to this channel."""
        threads = self._publisher.threads
        if channel.is_attached and threads.wants(channel):
            self._tasks.start(self._read_thread(channel))

    async def _read_thread(self, channel: Channel) -> None:
        """Load the newest page of the open thread, or the one before the known part."""
        view, threads = channel.view, self._publisher.threads
        root, before = threads.page_requested()
        view.page_requested()
        try:
            page = await self.ask(
                History(channel=channel.name, thread=root, before=before, limit=PAGE)
            )
            if page.epoch == view.epoch:
                threads.apply(channel, root, page)
                self._account.touch(channel)
        except CommandError as error:
            self._put(Notice(f"Cannot load the thread: {error.message}", "warning"))
            if error.code == ErrorCode.NO_SUCH_MESSAGE:
                threads.missing(channel, root)
        finally:
            view.page_received()
            threads.page_received()

    # Asking

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Send a command; send it again after each retryable error.

        Raises:
            CommandError: it was rejected permanently.
            Offline: the connection ended.
        """
        return await ask_with_retries(self._ask_once, command)

    async def _ask_once(self, command: AnsweredBy[_Answer]) -> _Answer:
        async with self._slots:  # not during the delay before a retry: others may ask meanwhile
            return await self._session.ask(command)


def _may_pass(error: CommandError) -> bool:
    """Whether a channel may be followed later: an internal error is no reason to forget it."""
    return error.code.retryable or error.code is ErrorCode.INTERNAL
