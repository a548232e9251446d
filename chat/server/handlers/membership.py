"""Handle `join`, `leave`, `channels`, and `who`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.commands import Channels, Join, Leave, Who
from chat.protocol.frames import ChannelList, ChannelListing, Members
from chat.server.handlers import builtin
from chat.store.operations import (
    ChannelState,
    Failure,
    JoinChannel,
    LeaveChannel,
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
    context, subscriptions = session.context, session.subscriptions
    subscriptions.expect_join(command.channel)

    def done(state: ChannelState) -> None:
        # A direct channel has no event that lists it.
        context.channels.list_for((session.user.name,), state.name, state.head)
        subscriptions.join_done(command.channel)
        if not session.is_closed:
            session.run(subscriptions.follow(state.name, command.resume, reply), reply)

    def failed(failure: Failure) -> None:
        subscriptions.join_done(command.channel)
        reply.error(failure)

    context.writes.submit(JoinChannel(session.user, command.channel), done, failed)


def leave(session: Session, command: Leave, reply: Reply) -> None:
    """End the membership, on all of one's devices."""
    if is_builtin(command.channel):
        builtin.leave(session, command.channel, reply)
        return

    def done(_result: None) -> None:
        reply.ok()

    session.context.writes.submit(LeaveChannel(session.user, command.channel), done, reply.error)


async def channels(session: Session, command: Channels, reply: Reply) -> None:
    """List the public channels."""
    limit = session.context.settings.limits.page
    rows, cursor = await session.context.reads.in_turn(
        session, lambda reader: reader.directory(cursor=command.cursor, limit=limit)
    )
    listings = tuple(
        ChannelListing(channel=row.name, topic=row.topic, members=row.members) for row in rows
    )
    reply.frame(ChannelList(id=reply.id, channels=listings, cursor=cursor))


async def who(session: Session, command: Who, reply: Reply) -> None:
    """List the members of a channel."""
    builtin.refuse(command.channel)
    user, limit = session.user, session.context.settings.limits.members
    page = await session.context.reads.in_turn(
        session,
        lambda reader: reader.members(user, command.channel, cursor=command.cursor, limit=limit),
    )
    reply.frame(
        Members(
            id=reply.id,
            channel=page.channel,
            members=session.subscriptions.present(page.rows),
            cursor=page.cursor,
        )
    )
