"""Handle `join`, `leave`, `channels`, and `who`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.commands import Channels, Join, Leave, Who
from chat.protocol.frames import ChannelList, ChannelListing, Members
from chat.server.handlers import builtin
from chat.server.subscriptions import announce, follow, present
from chat.store.operations import (
    JoinChannel,
    JoinedChannel,
    LeaveChannel,
    LeftChannel,
    MemberRow,
)
from chat.text import is_builtin

if TYPE_CHECKING:
    from chat.server.reply import Reply
    from chat.server.session import Session

__all__ = ["channels", "join", "leave", "who"]


def join(session: Session, command: Join, reply: Reply) -> None:
    """Become a member, and follow the log."""
    if is_builtin(command.channel):
        builtin.join(session, command.channel, reply)
        return
    user = session.user
    assert user is not None

    def done(joined: JoinedChannel) -> None:
        state = joined.channel
        if not session.is_closed:
            # Before it is read: what is said meanwhile is kept at hand by a room that is there.
            session.enter(state.name, state.epoch, state.head)
            follow(session, state.name, command.resume, reply)
        announce(session, state, (user.name,))

    session.services.write(JoinChannel(user, command.channel), done, reply.error)


def leave(session: Session, command: Leave, reply: Reply) -> None:
    """End the membership, on all of one's devices."""
    if is_builtin(command.channel):
        builtin.leave(session, command.channel, reply)
        return
    user = session.user
    assert user is not None

    def done(left: LeftChannel) -> None:
        for device in session.devices(user.name):
            device.leave(left.channel.name, left.channel.head)
        reply.ok()

    session.services.write(LeaveChannel(user, command.channel), done, reply.error)


def channels(session: Session, command: Channels, reply: Reply) -> None:
    """List the public channels."""
    limit = session.services.limits.page

    def done(page: tuple[tuple[ChannelListing, ...], str | None]) -> None:
        listings, cursor = page
        reply.frame(ChannelList(id=reply.id, channels=listings, cursor=cursor))

    session.services.read_in_turn(
        session,
        lambda reader: reader.directory(cursor=command.cursor, limit=limit),
        done,
        reply.error,
    )


def who(session: Session, command: Who, reply: Reply) -> None:
    """List the members of a channel."""
    builtin.refuse(command.channel)
    user = session.user
    assert user is not None
    limit = session.services.limits.members

    def done(page: tuple[tuple[MemberRow, ...], str | None, int]) -> None:
        rows, cursor, _total = page
        room = session.room(command.channel)
        reply.frame(
            Members(
                id=reply.id,
                channel=room.name if room else command.channel,
                members=present(session, rows),
                cursor=cursor,
            )
        )

    session.services.read_in_turn(
        session,
        lambda reader: reader.members(user, command.channel, cursor=command.cursor, limit=limit),
        done,
        reply.error,
    )
