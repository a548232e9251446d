"""The subscriptions of one session: the channels it is in, and how it comes to follow them.

A log is read in a thread while events go on being delivered. So the session attaches when the live
channel has delivered at least what was read, and gets the events delivered beyond it from the live
channel's recent frames: no hole, no duplicate. If those no longer reach back, `complete` is false
and the client reads on with `history after`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import ResumeFrom
from chat.protocol.frames import Joined, Member, ServerFrame
from chat.protocol.values import Presence
from chat.server.channels.live import LiveChannel
from chat.server.channels.presence import is_crowded, typing_frame
from chat.server.context import ServerContext
from chat.server.reply import Reply, error_frame
from chat.server.transport.connection import Connection
from chat.store.operations import ChannelState, MemberPage, MemberRow, Resumed, User
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
    is_closed: bool

    def send(self, frame: ServerFrame) -> None:
        """Send a frame; do nothing if the connection is over."""


class Subscriptions:
    """See the module.

    Args:
        session: where frames are sent.
        user: the person who is signed in there.
        services: what the server shares.
    """

    def __init__(self, session: Recipient, user: User, services: ServerContext) -> None:
        self.session = session
        self.user = user
        self.connection = session.connection
        self.channels: dict[str, LiveChannel] = {}
        """Those of the person's list, by the folded name."""
        self._services = services
        self._left: dict[str, int] = {}
        """Where memberships ended, by the folded name: what was read before is over."""
        self._joining: list[str] = []
        """Channels, folded, whose `joined` will be the answer to a `join` of this session."""

    @property
    def name(self) -> str:
        """The person's name."""
        return self.user.name

    @property
    def id(self) -> str:
        """The session's id."""
        return self.session.id

    @property
    def is_closed(self) -> bool:
        """Whether the session is over."""
        return self.session.is_closed

    def send(self, frame: ServerFrame) -> None:
        """Send a frame to this session alone; do nothing if it is over."""
        self.session.send(frame)

    # Memberships

    def channel(self, name: str) -> LiveChannel | None:
        """Return the live side of a channel one is in; the name as it was typed."""
        return self.channels.get(fold(name))

    def enter(self, name: str, head: int) -> LiveChannel:
        """Enter a channel of the person's list, whose head was read or delivered as `head`."""
        channel = self.channel(name)
        if channel is None:
            channel = self._services.hub.enter(self, name, head)
            self.channels[fold(name)] = channel
            channel.presence_news[self.name] = self._services.presence.of(self.name)
            self._services.news.of_room(channel)
        return channel

    def listed(self, channel: str, head: int) -> None:
        """Enter a channel that came into the person's list, and follow it, unless one is in it.

        The `joined` comes unasked, but to the session whose `join` this is.
        """
        if self.channel(channel) is None:
            self.enter(channel, head)
            if fold(channel) not in self._joining:
                self.follow(channel)

    def left(self, channel: str, seq: int) -> None:
        """Leave a channel: the membership ended with the event `seq`."""
        live = self.channel(channel)
        if live is None or live.members[self] < seq:
            self._drop(channel, seq, "offline")

    def hid(self, channel: str, head: int) -> None:
        """Leave a channel that the person has hidden as of its `head`, as a member still."""
        self._drop(channel, head, self._services.presence.of(self.name))

    def _drop(self, name: str, seq: int, presence: Presence) -> None:
        self._left[fold(name)] = seq
        if channel := self.channels.pop(fold(name), None):
            self._services.hub.leave(self, channel)
            channel.presence_news[self.name] = presence
            channel.typing.stop(self.name)
            self._services.news.of_room(channel)

    def has_left(self, channel: ChannelState) -> bool:
        """Whether one's membership of `channel`, as it was read, has ended since."""
        return self._left.get(fold(channel.name), 0) > channel.head

    def end(self) -> None:
        """Leave every channel: the session is over."""
        is_last = len(self._services.hub.sessions_of(self.name)) == 1
        self._services.hub.signed_out(self)
        if self._services.presence.drop(self.name, self) is not None:
            self._services.tell_presence(self)
        for channel in self.channels.values():
            if is_last and channel.typing.stop(self.name):
                self._services.news.of_room(channel)
            self._services.hub.leave(self, channel)
        self.channels.clear()

    # Following

    def expect_join(self, channel: str) -> None:
        """Note that a `join` of this session is under way, until `join_done`."""
        self._joining.append(fold(channel))

    def join_done(self, channel: str) -> None:
        """Note that a `join` was committed or refused."""
        self._joining.remove(fold(channel))

    def follow(
        self, channel: str, position: ResumeFrom | None = None, reply: Reply | None = None
    ) -> None:
        """Answer with `joined`, and deliver from there on; without `reply` it comes unasked.

        Args:
            channel: as stored or as typed; membership is checked again when reading.
            position: where the client stopped reading.
            reply: the command's, for `join`.
        """
        self._follow([(channel, position)], reply)

    def follow_all(self, positions: Mapping[str, ResumeFrom], then: Callable[[], None]) -> None:
        """Follow several channels, each as `follow` does; a `joined` comes for each.

        They come as fast as the peer takes them. `then` is called when all were read, or as soon as
        the peer has to be waited for.
        """
        remaining = iter(positions.items())
        outlet = self.connection.outlet

        def go_on() -> None:
            some = list(islice(remaining, TOGETHER))
            if some and not self.is_closed:
                self._follow(some, None, wait)
            else:
                then()

        def wait() -> None:
            outlet.when_taken(go_on)
            if outlet.is_waiting:
                then()

        go_on()

    def _follow(
        self,
        wanted: Sequence[tuple[str, ResumeFrom | None]],
        reply: Reply | None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        services = self._services
        for channel, _position in wanted:
            self._detach(channel)
        limits = services.limits

        def view(reader: Reader, channel: str, position: ResumeFrom | None) -> _View | CommandError:
            try:
                resumed = reader.resume(
                    self.user,
                    channel,
                    position,
                    limit=min(JOIN_PAGE, limits.page),
                    window=services.settings.resume_window,
                )
                return resumed, reader.members(
                    self.user, channel, cursor=None, limit=limits.members
                )
            except CommandError as refusal:  # of this channel; the others are followed all the same
                return refusal

        def done(views: Sequence[_View | CommandError]) -> None:
            for (channel, position), each in zip(wanted, views, strict=True):
                telling = partial(self._tell, channel, position, each, reply)
                if reply is None:
                    self.connection.outlet.when_taken(telling)
                else:
                    telling()
            then()

        services.read_in_turn(
            self,
            lambda reader: [view(reader, *each) for each in wanted],
            done,
            lambda error: done([error] * len(wanted)),
        )

    def _tell(
        self,
        channel: str,
        position: ResumeFrom | None,
        view: _View | CommandError,
        reply: Reply | None,
    ) -> None:
        if isinstance(view, CommandError):
            self._refused(channel, view, reply)
        elif reply is None and self.channel(channel) is None:
            pass  # hidden, so `welcome` did not list it
        elif self.has_left(view[0].membership.channel):  # while it was read
            self._refused(channel, not_a_member(channel), reply)
        else:
            self._joined(view, reply, partial(self._follow, [(channel, position)], reply))

    def _refused(self, channel: str, error: CommandError, reply: Reply | None) -> None:
        if reply is not None:
            reply.error(error)
        elif error.code is not ErrorCode.NO_SUCH_CHANNEL:
            self.send(error_frame(error, None, channel))

    def _joined(self, view: _View, reply: Reply | None, again: Callable[[], None]) -> None:
        resumed, members = view
        if self.is_closed:
            return
        membership = resumed.membership
        state, preference = membership.channel, membership.preference

        def send(complete: bool) -> None:
            frame = Joined.known(
                id=reply.id if reply else None,
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
                complete=complete,
            )
            if reply is not None:
                reply.frame(frame)
            else:
                self.send(frame)

        self.attach(state, resumed.complete, send, None if resumed.items else again)

    def attach(
        self,
        channel: ChannelState,
        is_read: bool,
        send: Callable[[bool], None],
        again: Callable[[], None] | None,
    ) -> None:
        """Send what was read up to `channel.head`, and go over to live events if that was all.

        Args:
            channel: as of the snapshot that was read.
            is_read: whether everything up to its head was read.
            send: sends the answer; takes its `complete`.
            again: for an empty page: reads anew, when so much has come since that not all is at
                hand. An empty page is never incomplete.
        """
        room = self.enter(channel.name, channel.head)

        def ready() -> None:
            if self.is_closed or self.channel(room.name) is not room:
                return
            missed = room.replay_after(channel.head) if is_read else None
            if is_read and missed is None and again is not None:
                again()
                return
            send(missed is not None)
            if missed is not None:
                for frame in missed:
                    self.connection.outlet.send(frame)
                self._take_over(room)

        room.on_reached(channel.head, ready)

    def _take_over(self, room: LiveChannel) -> None:
        if self.is_closed:  # it read too slowly for what was missed
            return
        room.followers[self.connection] = self.connection.outlet
        if not is_crowded(room):
            self.send(self._services.news.snapshot(room))
        if room.typing:
            self.send(typing_frame(room))

    def _detach(self, channel: str) -> None:
        """Stop live events of a channel until its log has been read up to the head again."""
        if live := self.channel(channel):
            live.followers.pop(self.connection, None)

    def present(self, rows: tuple[MemberRow, ...]) -> tuple[Member, ...]:
        """Return members with their presence now."""
        presence = self._services.presence
        return tuple(
            Member.known(name=row.name, role=row.role, presence=presence.of(row.name))
            for row in rows
        )
