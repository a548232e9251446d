"""The subscriptions of one session: the channels it is in, and how it comes to follow them.

A log is read in a thread while events go on being delivered. So the session attaches when the live
channel has delivered at least what was read, and gets the events delivered beyond it from the live
channel's recent frames: no hole, no duplicate. If those no longer reach back, `complete` is false
and the client reads on with `history after`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import ResumeFrom
from chat.protocol.frames import Joined, Member, Preferences, ServerFrame
from chat.protocol.values import Presence
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
from chat.text import fold

__all__ = ["Recipient", "Subscriptions"]

JOIN_PAGE = 100
"""Items in one `joined` frame."""
TOGETHER = 8
"""Channels of one `hello` that are read in one snapshot, with one thread switch: of 2,000 clients
that return to 5 channels each, the switches and transactions were a fifth of the work."""

_View = tuple[Resumed, MemberPage]


class Recipient(Protocol):
    """The session that subscriptions belong to."""

    connection: Connection
    id: str

    def send(self, frame: ServerFrame) -> None:
        """Send a frame; do nothing if the session is over."""

    def answer(self, frame: ServerFrame) -> None:
        """Answer a command with a frame that has its id."""

    def run(self, work: Coroutine[Any, Any, None]) -> object:
        """Run `work` as a task that ends with the session."""


class Subscriptions:
    """See the module. Before `welcomed`, events and frames are kept back.

    Args:
        session: where frames are sent.
        user: the person who is signed in there.
        context: the parts of the server.
    """

    def __init__(self, session: Recipient, user: User, context: ServerContext) -> None:
        self.id = session.id
        self.user = user
        self.connection = session.connection
        self.channels: dict[str, LiveChannel] = {}
        """Those of the person's list, by the folded name."""
        self._session = session
        self._context = context
        self._left: dict[str, int] = {}
        """Where memberships ended, by the folded name: what was read before is over."""
        self._preferences: dict[str, Preferences] = {}
        """Preferences that have changed since a channel was read, by the folded name."""
        self._joining: list[str] = []
        """Channels, folded, whose `joined` will be the answer to a `join` of this session."""
        self._kept_back: list[Callable[[], None]] | None = []
        """What came while the memberships were read for `welcome`; None after it."""
        context.channels.signed_in(self)

    @property
    def name(self) -> str:
        """The person's name."""
        return self.user.name

    @property
    def is_welcomed(self) -> bool:
        """Whether `welcome` was sent."""
        return self._kept_back is None

    def welcomed(self, memberships: Sequence[Membership], welcome: Callable[[], None]) -> None:
        """Enter the channels that the person is in, send `welcome`, and what was kept back."""
        kept_back, self._kept_back = self._kept_back or [], None
        for membership in memberships:
            self.enter(membership.channel.name, membership.channel.head)
        self._context.presence.set(self, "online")
        welcome()
        for action in kept_back:
            action()

    def send(self, frame: ServerFrame) -> None:
        """Send a frame to this session alone."""
        if self._kept_back is not None:
            self._kept_back.append(partial(self._session.send, frame))
        else:
            self._session.send(frame)

    def end(self) -> None:
        """Leave every channel: the session is over."""
        channels, presence = self._context.channels, self._context.presence
        channels.signed_out(self)
        is_last = not channels.sessions_of(self.name)
        presence.drop(self)
        for channel in self.channels.values():
            if is_last and channel.typing.stop(self.name):
                presence.typing_changed(channel)
            channels.leave(self, channel)
        self.channels.clear()

    # Memberships

    def channel(self, name: str) -> LiveChannel | None:
        """Return the live side of a channel one is in; the name as it was typed."""
        return self.channels.get(fold(name))

    def enter(self, name: str, head: int) -> LiveChannel:
        """Enter a channel of the person's list, whose head was read or delivered as `head`."""
        channel = self.channel(name)
        if channel is None:
            channel = self._context.channels.enter(self, name, head)
            self.channels[fold(name)] = channel
            presence = self._context.presence
            presence.changed(channel, self.name, presence.of(self.name))
        return channel

    def listed(self, channel: str, head: int) -> None:
        """Enter a channel that came into the person's list, and follow it, unless one is in it.

        The `joined` comes unasked, but to the session whose `join` this is.
        """
        if self._kept_back is not None:
            self._kept_back.append(partial(self.listed, channel, head))
        elif self.channel(channel) is None:
            self.enter(channel, head)
            if fold(channel) not in self._joining:
                self._session.run(self._follow_unasked([(channel, None)]))

    def left(self, channel: str, seq: int) -> None:
        """Leave a channel: the membership ended with the event `seq`."""
        if self._kept_back is not None:
            self._kept_back.append(partial(self.left, channel, seq))
            return
        live = self.channel(channel)
        if live is None or live.members[self] < seq:
            self._drop(channel, seq, "offline")

    def hid(self, channel: str, head: int) -> None:
        """Leave a channel that the person has hidden as of its `head`, as a member still."""
        if self._kept_back is not None:
            self._kept_back.append(partial(self.hid, channel, head))
        else:
            self._drop(channel, head, self._context.presence.of(self.name))

    def preferred(self, frame: Preferences) -> None:
        """Send preferences that have changed; a `joined` that was read before has them as well."""
        self._preferences[fold(frame.channel)] = frame
        self.send(frame)

    def _drop(self, name: str, seq: int, presence: Presence) -> None:
        self._left[fold(name)] = seq
        if channel := self.channels.pop(fold(name), None):
            self._context.channels.leave(self, channel)
            channel.typing.stop(self.name)
            self._context.presence.changed(channel, self.name, presence)

    def has_left(self, channel: ChannelState) -> bool:
        """Whether one's membership of `channel`, as it was read, has ended since."""
        return self._left.get(fold(channel.name), 0) > channel.head

    def present(self, rows: tuple[MemberRow, ...]) -> tuple[Member, ...]:
        """Return members with their presence now."""
        presence = self._context.presence
        return tuple(
            Member.known(name=row.name, role=row.role, presence=presence.of(row.name))
            for row in rows
        )

    # Following

    def expect_join(self, channel: str) -> None:
        """Note that a `join` of this session is under way, until `join_done`."""
        self._joining.append(fold(channel))

    def join_done(self, channel: str) -> None:
        """Note that a `join` was committed or refused."""
        self._joining.remove(fold(channel))

    async def follow(
        self, channel: str, position: ResumeFrom | None, command_id: str | None
    ) -> None:
        """Answer a `join` with `joined`, and deliver from there on.

        Args:
            channel: as stored; membership is checked again when reading.
            position: where the client stopped reading.
            command_id: the command's.

        Raises:
            CommandError: the channel cannot be read, or the membership has ended.
        """
        is_sent = False
        while not is_sent:
            (view,) = await self._read([(channel, position)])
            is_sent = await self._join(view, command_id, self._session.answer)

    async def follow_all(
        self, positions: Mapping[str, ResumeFrom], backed_up: Callable[[], None]
    ) -> None:
        """Follow several channels; a `joined`, or an error, comes for each without being asked for.

        They come as fast as the peer takes them. `backed_up` is called whenever the peer has to be
        waited for.
        """
        wanted = list(positions.items())
        for at in range(0, len(wanted), TOGETHER):
            if self.connection.outlet.is_backed_up:
                backed_up()
            await self._follow_unasked(wanted[at : at + TOGETHER])

    async def _follow_unasked(self, wanted: Sequence[tuple[str, ResumeFrom | None]]) -> None:
        try:
            views = await self._read(wanted)
        except CommandError as error:
            views = [error] * len(wanted)
        for (channel, position), view in zip(wanted, views, strict=True):
            await self.connection.outlet.drain()
            if self.channel(channel) is None and not isinstance(view, CommandError):
                continue  # hidden, so `welcome` did not list it
            try:
                while not await self._join(view, None, self._session.send):
                    (view,) = await self._read([(channel, position)])
            except CommandError as error:
                if error.code is not ErrorCode.NO_SUCH_CHANNEL:
                    self._session.send(error_frame(error, None, channel))

    async def _read(
        self, wanted: Sequence[tuple[str, ResumeFrom | None]]
    ) -> Sequence[_View | CommandError]:
        for channel, _position in wanted:
            self._preferences.pop(fold(channel), None)
            if live := self.channel(channel):
                live.followers.pop(self.connection, None)  # until its log is read to the head again
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
            except CommandError as refusal:  # of this channel; the others are followed all the same
                return refusal

        return await self._context.reads.in_turn(
            self, lambda reader: [view(reader, *each) for each in wanted]
        )

    async def _join(
        self, view: _View | CommandError, command_id: str | None, send: Callable[[Joined], None]
    ) -> bool:
        """Send `joined`, and go over to live events if that was all.

        Returns:
            Whether it was sent; if not, so much has come since that the log must be read again.
        """
        if isinstance(view, CommandError):
            raise view
        resumed, members = view
        membership = resumed.membership
        state = membership.channel
        if self.has_left(state):  # while it was read
            raise not_a_member(state.name)
        self.enter(state.name, state.head)

        def send_joined(is_complete: bool) -> None:
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
                    members=self.present(members.rows),
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
        """Send what was read, and go over to live events if that was all.

        That is done within the delivery of `channel.head`, if it is still to come: an event that
        was read leaves before the `ok` of its sender.

        Args:
            channel: as of the snapshot that was read.
            send: sends the answer; takes its `complete`.
            is_read: whether everything up to the head of `channel` was read.
            is_empty: whether the answer holds no items; such a one is never incomplete.

        Returns:
            Whether it was sent; if not, so much has come since that the log must be read again.

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
            except Exception as error:  # a delivery goes on, whatever becomes of one session
                if not attached.done():
                    attached.set_exception(error)
            else:
                if not attached.done():  # what was sent may have ended the session
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
        """Send what was missed, and from there on every event as it is delivered."""
        outlet = self.connection.outlet
        for frame in missed:
            outlet.send(frame)
        if self.channel(live.name) is not live:  # it read too slowly for what was missed
            return
        live.followers[self.connection] = outlet
        if not self._context.presence.is_crowded(live):
            self._session.send(self._context.presence.snapshot(live))
        if live.typing:
            self._session.send(typing_frame(live))
