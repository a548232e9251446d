"""The subscriptions of one session: its channels, and the switch from log reads to live events.

A log is read in a thread while new events are delivered. The session attaches once the live channel
has delivered the last event that was read, and gets later events from the live channel's recent
frames, without a gap or a duplicate. If the recent frames do not reach back far enough, `complete`
is false, and the client continues with `history after`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol

from chat import rights as rules
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import ResumeFrom
from chat.protocol.frames import (
    Joined,
    Member,
    Mute,
    Preferences,
    Removed,
    ServerFrame,
    ThreadState,
)
from chat.protocol.values import ChannelSettings, Presence
from chat.rights import Right
from chat.server.channels.live import LiveChannel
from chat.server.channels.presence import typing_frame
from chat.server.context import ServerContext
from chat.server.refusals import error_frame
from chat.server.transport.connection import Connection
from chat.store.operations import (
    ChannelState,
    MemberPage,
    MemberRow,
    Membership,
    Resumed,
    User,
)
from chat.store.read.reader import Reader
from chat.store.rights import not_a_member
from chat.text import fold, is_direct

__all__ = ["Recipient", "Subscriptions", "channel_fields"]

JOIN_PAGE = 100
"""Items in one `joined` frame."""
BATCH_MAX = 8
"""Channels of one `hello` that are read in one snapshot, to save transactions and thread switches:
they were a fifth of the work for 2,000 clients that resume 5 channels each."""

_View = tuple[Resumed, MemberPage]


class Recipient(Protocol):
    """The session that subscriptions belong to."""

    connection: Connection

    def send(self, frame: ServerFrame) -> None:
        """Send a frame; do nothing if the session is over."""

    def answer(self, frame: ServerFrame) -> None:
        """Answer a command with a frame that has its id."""

    def run(self, work: Coroutine[Any, Any, None]) -> object:
        """Run `work` as a task that ends with the session."""


class Subscriptions:
    """The subscriptions of a signed-in session. Events and frames are deferred until `welcomed`.

    Args:
        session: receives the frames.
        user: the user of the session.
        context: the parts of the server.
    """

    def __init__(self, session: Recipient, user: User, context: ServerContext) -> None:
        self.user = user
        self.connection = session.connection
        self.channels: dict[str, LiveChannel] = {}
        """The channels in the user's list, by folded name."""
        self._session = session
        self._context = context
        self._left: dict[str, int] = {}
        """The seqs at which memberships ended, by folded name; older reads are void."""
        self._preferences: dict[str, Preferences] = {}
        """Preferences that have changed since a channel was read, by folded name."""
        self._may_type: set[str] = set()
        """The channels in which the user is known to have this right, by folded name."""
        self._changes = 0
        """Counter of what makes a check of this right void: changed rights, and stops."""
        self.removals = 0
        """Number of channels that were deleted or renamed; it makes reads void that have begun."""
        self._joining: list[str] = []
        """Folded names of channels with a pending `join` of this session."""
        self._deferred: list[Callable[[], None]] | None = []
        """Actions deferred until `welcome` is sent; None afterwards."""
        context.channels.signed_in(self)

    @property
    def name(self) -> str:
        """The user's name."""
        return self.user.name

    @property
    def is_welcomed(self) -> bool:
        """Whether `welcome` was sent."""
        return self._deferred is None

    def welcomed(self, memberships: Sequence[Membership], welcome: Callable[[], None]) -> None:
        """Enter the user's channels, send `welcome`, and run the deferred actions."""
        deferred, self._deferred = self._deferred or [], None
        for membership in memberships:
            self.enter(membership.channel.name, membership.channel.head)
        self._context.presence.set(self, "online")
        welcome()
        for action in deferred:
            action()

    def send(self, frame: ServerFrame) -> None:
        """Send a frame to this session only."""
        if self._deferred is not None:
            self._deferred.append(partial(self._session.send, frame))
        else:
            self._session.send(frame)

    def end(self) -> None:
        """Leave all channels: the session is over."""
        channels, presence = self._context.channels, self._context.presence
        channels.signed_out(self)
        is_last = not channels.sessions_of(self.name)
        presence.drop(self)
        for channel in self.channels.values():
            if is_last:
                presence.stop_typing(channel, self.name)
            channels.leave(self, channel)
        self.channels.clear()

    # Memberships

    def channel(self, name: str) -> LiveChannel | None:
        """Return the live channel with this name, in any case; None if the session is not in it."""
        return self.channels.get(fold(name))

    def enter(self, name: str, head: int) -> LiveChannel:
        """Enter a channel in the user's list; `head` is its last known seq."""
        channel = self.channel(name)
        if channel is None:
            channel = self._context.channels.enter(self, name, head)
            self.channels[fold(name)] = channel
            presence = self._context.presence
            presence.changed(channel, self.name, presence.of(self.name))
        return channel

    def listed(self, channel: str, head: int) -> None:
        """Enter and follow a channel that was added to the user's list.

        Sends `joined`, unless a `join` of this session is pending: its answer is the `joined`. Has
        no effect if the membership has ended after `head`, such as by a kick in the same commit.
        """
        if self._deferred is not None:
            self._deferred.append(partial(self.listed, channel, head))
        elif self.channel(channel) is None and self._left.get(fold(channel), 0) <= head:
            self.enter(channel, head)
            if fold(channel) not in self._joining:
                self._session.run(self._follow_unrequested([(channel, None)]))

    def left(self, channel: str, seq: int, frame: Removed | None) -> None:
        """Leave a channel: the membership ended with the event `seq`.

        `frame` is sent if someone else ended it.
        """
        if self._deferred is not None:
            self._deferred.append(partial(self.left, channel, seq, frame))
            return
        live = self.channel(channel)
        if live is None or live.members[self] < seq:
            self._drop(channel, seq, "offline")
            if frame is not None:
                self.send(frame)

    def hidden(self, channel: str, head: int) -> None:
        """Leave a channel that the user, still a member, has hidden at its `head`."""
        if self._deferred is not None:
            self._deferred.append(partial(self.hidden, channel, head))
        else:
            self._drop(channel, head, self._context.presence.of(self.name))

    def removed(self, frame: Removed) -> None:
        """Leave a channel that was renamed or deleted, and send the frame.

        Another channel may get the name at once: its log begins at 1, so no seq says which reads
        are older, and all reads that have begun are void.
        """
        if self._deferred is not None:
            self._deferred.append(partial(self.removed, frame))
            return
        self.removals += 1
        if self.channel(frame.channel) is not None:
            self.send(frame)
            self._drop(frame.channel, 0, self._context.presence.of(self.name))
        self._left.pop(fold(frame.channel), None)

    def rights_changed(self, channel: str) -> None:
        """Hide that the user is typing, until they type again and have the right to be shown."""
        self._may_type.discard(fold(channel))
        if live := self.channel(channel):
            self.stop_typing(live)

    def preferences_changed(self, frame: Preferences) -> None:
        """Send changed preferences, and use them in a `joined` that was read before the change."""
        self._preferences[fold(frame.channel)] = frame
        self.send(frame)

    def _drop(self, name: str, seq: int, presence: Presence) -> None:
        self._left[fold(name)] = seq
        self._changes += 1
        self._may_type.discard(fold(name))
        if channel := self.channels.pop(fold(name), None):
            self._context.channels.leave(self, channel)
            self._context.presence.stop_typing(channel, self.name)
            self._context.presence.changed(channel, self.name, presence)

    def has_left(self, channel: ChannelState) -> bool:
        """Whether the membership has ended since `channel` was read."""
        return self._left.get(fold(channel.name), 0) > channel.head

    def with_presence(self, rows: tuple[MemberRow, ...]) -> tuple[Member, ...]:
        """Return members with their current presence."""
        presence = self._context.presence
        return tuple(
            Member.known(
                name=row.name, role=row.role, presence=presence.of(row.name), muted=row.muted
            )
            for row in rows
        )

    # Typing

    def start_typing(self, live: LiveChannel) -> bool:
        """Show the user as typing in a channel; return false if the right must be read first."""
        presence = self._context.presence
        if fold(live.name) not in self._may_type:
            return presence.is_crowded(live)  # where nobody is shown
        presence.start_typing(live, self.name)
        return True

    def stop_typing(self, live: LiveChannel) -> None:
        """Show the user as typing no longer."""
        self._changes += 1
        self._context.presence.stop_typing(live, self.name)

    async def check_typing(self, live: LiveChannel) -> None:
        """Show the user as typing in a channel, if they have the right."""
        changes = self._changes
        try:
            membership = await self._context.reads.log(
                self.connection, self.user, lambda reader: reader.membership(self.user, live.name)
            )
        except CommandError:
            return
        if changes == self._changes and "typing" in rights(membership):
            self._may_type.add(fold(live.name))
            self.start_typing(live)

    # Following

    def expect_join(self, channel: str) -> None:
        """Note a pending `join` of this session."""
        self._joining.append(fold(channel))

    def join_done(self, channel: str) -> None:
        """Note that a pending `join` was committed or refused."""
        self._joining.remove(fold(channel))

    async def follow(
        self, channel: str, position: ResumeFrom | None, command_id: str | None
    ) -> None:
        """Answer a `join` with `joined`, then deliver live events.

        Args:
            channel: the stored name.
            position: the last position of the client.
            command_id: the id of the `join`.

        Raises:
            CommandError: the channel cannot be read, or the membership has ended.
        """
        is_sent = False
        while not is_sent:
            removals = self.removals
            (view,) = await self._read([(channel, position)])
            is_sent = await self._join(
                view, removals, command_id, self._session.answer, is_resumed=position is not None
            )

    async def follow_all(
        self, positions: Mapping[str, ResumeFrom], backed_up: Callable[[], None]
    ) -> None:
        """Follow several channels; send `joined` or an error for each, as fast as the peer reads.

        `backed_up` is called before each wait for a slow peer.
        """
        wanted = list(positions.items())
        for at in range(0, len(wanted), BATCH_MAX):
            if self.connection.outlet.is_backed_up:
                backed_up()
            await self._follow_unrequested(wanted[at : at + BATCH_MAX])

    async def _follow_unrequested(self, wanted: Sequence[tuple[str, ResumeFrom | None]]) -> None:
        removals = self.removals
        try:
            views = await self._read(wanted)
        except CommandError as error:
            views = [error] * len(wanted)
        for (channel, position), view in zip(wanted, views, strict=True):
            await self.connection.outlet.drain()
            if self.channel(channel) is None and not isinstance(view, CommandError):
                continue  # a hidden channel
            try:
                is_resumed = position is not None
                while not await self._join(
                    view, removals, None, self._session.send, is_resumed=is_resumed
                ):
                    removals = self.removals
                    (view,) = await self._read([(channel, position)])
            except CommandError as error:
                if removed := await self._removal(channel, position, error):
                    self._session.send(removed)
                self._session.send(error_frame(error, None, channel))

    async def _removal(
        self, channel: str, position: ResumeFrom | None, error: CommandError
    ) -> Removed | None:
        """Return how someone ended the membership while the client was away; None: nobody did."""
        is_over = error.code in (ErrorCode.NOT_A_MEMBER, ErrorCode.NO_SUCH_CHANNEL)
        if position is None or not is_over or fold(channel) in self._left:
            return None
        try:
            details = await self._context.reads.log(
                self.connection,
                self.user,
                lambda reader: reader.removal(self.user, channel, position),
            )
        except CommandError:
            return None
        if details is None:
            return None
        return Removed(
            channel=channel,
            act=details.act,
            by=details.by.name if details.by is not None else None,
            until=details.until,
            reason=details.reason or None,
        )

    async def _read(
        self, wanted: Sequence[tuple[str, ResumeFrom | None]]
    ) -> Sequence[_View | CommandError]:
        for channel, _position in wanted:
            self._preferences.pop(fold(channel), None)
            if live := self.channel(channel):
                live.followers.pop(self.connection, None)  # until the session attaches again
        settings = self._context.settings
        limits = settings.limits

        def view(reader: Reader, channel: str, position: ResumeFrom | None) -> _View | CommandError:
            try:
                resumed = reader.resume(
                    self.user,
                    channel,
                    position,
                    limit=min(JOIN_PAGE, limits.page),
                    window=settings.resume_window,
                )
                return resumed, reader.members(
                    self.user, channel, cursor=None, limit=limits.members
                )
            except CommandError as refusal:  # the other channels are still followed
                return refusal

        return await self._context.reads.log(
            self.connection,
            self.user,
            lambda reader: [view(reader, *each) for each in wanted],
        )

    async def _join(
        self,
        view: _View | CommandError,
        removals: int,
        command_id: str | None,
        send: Callable[[Joined], None],
        *,
        is_resumed: bool,
    ) -> bool:
        """Send `joined`, and attach to live events if the log was read to its head.

        `removals` is the number before the read: after another one, the read is void. `is_resumed`:
        the client gave its position.

        Returns:
            Whether it was sent; if not, the log must be read again (see `attach`).
        """
        if isinstance(view, CommandError):
            raise view
        if removals != self.removals:
            return False
        resumed, members = view
        membership = resumed.membership
        state = membership.channel
        if self.has_left(state):  # left during the read
            raise not_a_member(state.name)
        self.enter(state.name, state.head)

        def send_joined(is_complete: bool) -> None:
            if is_resumed:
                recovered = "complete" if is_complete else "partial"
                self._context.metrics.resumes.add(recovered if resumed.recovered else "page")
            preference = self._preferences.get(fold(state.name), membership.preference)
            send(
                Joined.known(
                    id=command_id,
                    channel=state.name,
                    epoch=state.epoch,
                    head=state.head,
                    topic=state.topic,
                    role=membership.role,
                    read=membership.read,
                    unread=membership.unread,
                    mentions=membership.mentions,
                    pinned=preference.pinned,
                    muted=preference.muted,
                    level=preference.level,
                    pins=resumed.pins,
                    rights=rights(membership),
                    **channel_fields(membership),
                    members=self.with_presence(members.rows),
                    member_count=members.total,
                    recovered=resumed.recovered,
                    items=resumed.items,
                    complete=is_complete,
                )
            )

        return await self.attach(
            state, send_joined, is_read=resumed.complete, is_empty=not resumed.items
        )

    async def attach(
        self,
        channel: ChannelState,
        send: Callable[[bool], None],
        *,
        is_read: bool,
        is_empty: bool,
    ) -> bool:
        """Send the answer to a log read, and attach to live events if the read reached the head.

        If `channel.head` is not delivered yet, this happens during its delivery, so that an event
        in the answer is sent before the `ok` of the event's author.

        Args:
            channel: the channel as it was read.
            send: sends the answer; its argument is the answer's `complete`.
            is_read: whether the log was read up to `channel.head`.
            is_empty: whether the answer has no items; an empty answer must be complete.

        Returns:
            Whether the answer was sent. False: the answer would be empty, and the recent frames do
            not reach back to it; the log must be read again.

        Raises:
            CommandError: the membership has ended.
        """
        live = self.channel(channel.name)
        if live is None:
            raise not_a_member(channel.name)
        attached: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def reached() -> None:
            if attached.cancelled():
                return
            try:
                is_sent = self._attach_now(live, channel.head, send, is_read, is_empty)
            except Exception as error:  # the delivery to other sessions must continue
                if not attached.done():
                    attached.set_exception(error)
            else:
                if not attached.done():  # sending may have closed the session
                    attached.set_result(is_sent)

        live.on_reached(channel.head, reached)
        return await attached

    def _attach_now(
        self,
        live: LiveChannel,
        head: int,
        send: Callable[[bool], None],
        is_read: bool,
        is_empty: bool,
    ) -> bool:
        if self.channel(live.name) is not live:
            raise not_a_member(live.name)
        missed = live.replay_after(head) if is_read else None
        if is_read and missed is None and is_empty:
            return False
        send(missed is not None)
        if missed is not None:
            self._go_live(live, missed)
        return True

    def _go_live(self, live: LiveChannel, missed: Sequence[bytes]) -> None:
        """Send the missed events, and follow the channel."""
        outlet = self.connection.outlet
        for frame in missed:
            outlet.send(frame)
        if self.channel(live.name) is not live:  # closed as a slow reader
            return
        live.followers[self.connection] = outlet
        if not self._context.presence.is_crowded(live):
            self._session.send(self._context.presence.snapshot(live))
        if live.typing:
            self._session.send(typing_frame(live))


def rights(membership: Membership) -> tuple[Right, ...]:
    """Return what a member may do now, in the order of the table of rights."""
    state = membership.channel
    return _rights(
        membership.role, membership.mute is not None, state.settings, is_direct(state.name)
    )


@lru_cache(maxsize=1_024)
def _rights(
    role: str, is_muted: bool, settings: rules.ChannelSettings, is_direct: bool
) -> tuple[Right, ...]:
    granted = rules.rights_of(rules.standing_of(role, is_muted=is_muted), settings)
    if is_direct:
        granted &= rules.DIRECT
    return tuple(right for right in rules.RIGHTS["owner"] if right in granted)


def channel_fields(membership: Membership) -> dict[str, Any]:
    """Return fields that `welcome` and `joined` have if they are not the default."""
    fields: dict[str, Any] = {}
    if membership.channel.settings != rules.DEFAULT:
        fields["settings"] = _settings(membership.channel.settings)
    if mute := membership.mute:
        fields["mute"] = Mute(by=mute.by, until=mute.until, reason=mute.reason or None)
    if membership.threads:
        fields["threads"] = tuple(
            ThreadState.known(
                thread=each.thread, read=each.read, unread=each.unread, mentions=each.mentions
            )
            for each in membership.threads
        )
    return fields


@lru_cache(maxsize=1_024)
def _settings(settings: rules.ChannelSettings) -> ChannelSettings:
    return ChannelSettings(**settings._asdict())
