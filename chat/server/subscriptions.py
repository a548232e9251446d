"""Subscribe a session to a channel: read up to a head, then take live events.

The read happens in a thread while events go on being delivered. So the session attaches when the
room has delivered at least what was read, and gets what was delivered beyond it from the room's
recent frames: no hole, no duplicate. If those no longer reach back, `complete` is false and the
client reads on with `history after`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import ResumeFrom
from chat.protocol.frames import Joined, Member
from chat.server.channels.live import LiveChannel
from chat.server.channels.presence import is_crowded, typing_frame
from chat.server.reply import Reply, error_frame
from chat.store.operations import ChannelState, MemberRow, Resumed
from chat.store.read.reader import Reader
from chat.store.rights import not_a_member

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["announce", "attach", "detach", "follow", "follow_all", "present"]

JOIN_PAGE = 100
"""Items in one `joined` frame."""
TOGETHER = 8
"""Channels of one `hello` that are read in one snapshot, with one thread switch: of 2,000 clients
that return to 5 channels each, the switches and transactions were a fifth of the work."""

_View = tuple[Resumed, tuple[tuple[MemberRow, ...], str | None, int]]


def follow(
    session: Session,
    channel: str,
    position: ResumeFrom | None = None,
    reply: Reply | None = None,
) -> None:
    """Answer with `joined`, and deliver from there on; without `reply` it comes unasked.

    Args:
        session: of a member of the channel; checked again when reading.
        channel: as stored or as typed.
        position: where the client stopped reading.
        reply: the command's, for `join`.
    """
    _follow(session, [(channel, position)], reply)


def follow_all(
    session: Session, positions: Mapping[str, ResumeFrom], then: Callable[[], None]
) -> None:
    """Follow several channels, each as `follow` does; a `joined` comes for each.

    They come as fast as the peer takes them. `then` is called when all were read, or as soon as
    the peer has to be waited for.
    """
    remaining = iter(positions.items())
    outlet = session.connection.outlet

    def go_on() -> None:
        some = list(islice(remaining, TOGETHER))
        if some and not session.is_closed:
            _follow(session, some, None, wait)
        else:
            then()

    def wait() -> None:
        outlet.when_taken(go_on)
        if outlet.is_waiting:
            then()

    go_on()


def _follow(
    session: Session,
    wanted: Sequence[tuple[str, ResumeFrom | None]],
    reply: Reply | None,
    then: Callable[[], None] = lambda: None,
) -> None:
    services = session.services
    user = session.user
    assert user is not None
    for channel, _position in wanted:
        detach(session, channel)
    limits = services.limits

    def view(reader: Reader, channel: str, position: ResumeFrom | None) -> _View | CommandError:
        try:
            resumed = reader.resume(
                user,
                channel,
                position,
                limit=min(JOIN_PAGE, limits.page),
                window=services.settings.resume_window,
            )
            return resumed, reader.members(user, channel, cursor=None, limit=limits.members)
        except CommandError as refusal:  # of this channel; the others are followed all the same
            return refusal

    def done(views: Sequence[_View | CommandError]) -> None:
        for (channel, position), each in zip(wanted, views, strict=True):
            telling = partial(_tell, session, channel, position, each, reply)
            if reply is None:
                session.connection.outlet.when_taken(telling)
            else:
                telling()
        then()

    services.read_in_turn(
        session,
        lambda reader: [view(reader, *each) for each in wanted],
        done,
        lambda error: done([error] * len(wanted)),
    )


def _tell(
    session: Session,
    channel: str,
    position: ResumeFrom | None,
    view: _View | CommandError,
    reply: Reply | None,
) -> None:
    if isinstance(view, CommandError):
        _refused(session, channel, view, reply)
    elif reply is None and session.room(channel) is None:
        pass  # hidden, so `welcome` did not list it
    elif session.has_left(view[0].seat.channel):  # while it was read
        _refused(session, channel, not_a_member(channel), reply)
    else:
        _joined(session, view, reply, partial(_follow, session, [(channel, position)], reply))


def _refused(session: Session, channel: str, error: CommandError, reply: Reply | None) -> None:
    if reply is not None:
        reply.error(error)
    elif error.code is not ErrorCode.NO_SUCH_CHANNEL:
        session.send(error_frame(error, None, channel))


def _joined(session: Session, view: _View, reply: Reply | None, again: Callable[[], None]) -> None:
    resumed, (rows, _cursor, total) = view
    if session.is_closed:
        return
    seat = resumed.seat

    def send(complete: bool) -> None:
        frame = Joined.known(
            id=reply.id if reply else None,
            channel=seat.channel.name,
            epoch=seat.channel.epoch,
            head=seat.channel.head,
            topic=seat.channel.topic,
            role=seat.role,
            read=seat.read,
            unread=seat.unread,
            mentions=seat.mentions,
            pinned=seat.preference.pinned,
            muted=seat.preference.muted,
            level=seat.preference.level,
            pins=seat.pins,
            members=present(session, rows),
            member_count=total,
            recovered=resumed.recovered,
            items=resumed.items,
            complete=complete,
        )
        if reply is not None:
            reply.frame(frame)
        else:
            session.send(frame)

    attach(session, seat.channel, resumed.complete, send, None if resumed.items else again)


def attach(
    session: Session,
    channel: ChannelState,
    is_read: bool,
    send: Callable[[bool], None],
    again: Callable[[], None] | None,
) -> None:
    """Send what was read up to `channel.head`, and go over to live events if that was all.

    Args:
        session: of a member.
        channel: as of the snapshot that was read.
        is_read: whether everything up to its head was read.
        send: sends the answer; takes its `complete`.
        again: for an empty page: reads anew, when so much has come since that not all of it is at
            hand. An empty page is never incomplete.
    """
    room = session.enter(channel.name, channel.epoch, channel.head)

    def ready() -> None:
        if session.is_closed or session.room(room.name) is not room:
            return
        missed = room.since(channel.head) if is_read else None
        if is_read and missed is None and again is not None:
            again()
            return
        send(missed is not None)
        if missed is not None:
            for frame in missed:
                session.connection.outlet.send(frame)
            _take_over(session, room)

    room.when_at(channel.head, ready)


def _take_over(session: Session, room: LiveChannel) -> None:
    if session.is_closed:  # it read too slowly for what was missed
        return
    room.followers[session.connection] = session.connection.outlet
    if not is_crowded(room):
        session.send(session.services.news.snapshot(room))
    if room.typing:
        session.send(typing_frame(room))


def announce(session: Session, channel: ChannelState, names: Iterable[str]) -> None:
    """Have every device of these members follow a channel that is not in its list yet."""
    for name in names:
        for device in session.devices(name):
            if device.room(channel.name) is None:
                device.enter(channel.name, channel.epoch, channel.head)
                follow(device, channel.name)


def detach(session: Session, channel: str) -> None:
    """Stop live events of a channel until the session has read up to its head again."""
    if room := session.room(channel):
        room.followers.pop(session.connection, None)


def present(session: Session, rows: tuple[MemberRow, ...]) -> tuple[Member, ...]:
    """Return members with their presence now."""
    presence = session.services.presence
    return tuple(
        Member.known(name=row.name, role=row.role, presence=presence.of(row.name)) for row in rows
    )
