"""Handle `create`, `join`, `leave`, `channels`, and `who`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from chat.protocol.commands import Channels, Create, Join, Leave, ResumeFrom, Who
from chat.protocol.frames import ChannelList, ChannelListing, Members, Ok
from chat.server.handlers import builtin
from chat.server.writes import Write
from chat.store.channels import CreateChannel
from chat.store.operations import ChannelOperation, ChannelState, JoinChannel, LeaveChannel
from chat.text import is_builtin

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["channels", "create", "join", "leave", "who"]


def join(session: Session, command: Join) -> Write[ChannelState] | None:
    """Join a channel and follow it."""
    if is_builtin(command.channel):
        builtin.join(session, command)
        return None
    policy = session.context.settings.channel_policy
    operation = JoinChannel(session.user, command.channel, policy)
    return _enter(session, command, operation, command.resume)


def create(session: Session, command: Create) -> Write[ChannelState]:
    """Create a channel and follow it."""
    builtin.refuse(command.channel)
    operation = CreateChannel(
        session.user,
        command.channel,
        command.private,
        command.topic,
        session.context.settings.channel_policy,
    )
    return _enter(session, command, operation, None)


def _enter(
    session: Session,
    command: Join | Create,
    operation: ChannelOperation[ChannelState],
    position: ResumeFrom | None,
) -> Write[ChannelState]:
    context, subscriptions = session.context, session.subscriptions
    subscriptions.expect_join(command.channel)

    def joined(state: ChannelState) -> Coroutine[Any, Any, None] | None:
        # A direct channel has no `join` event that adds it to the list.
        context.channels.add_to_lists((session.user.name,), state.name, state.head)
        subscriptions.join_done(command.channel)
        if session.is_closed:
            return None
        return subscriptions.follow(state.name, position, command.id)

    return Write(operation, joined, lambda: subscriptions.join_done(command.channel))


def leave(session: Session, command: Leave) -> Write[None] | Ok:
    """End the user's membership, in all sessions."""
    if is_builtin(command.channel):
        return builtin.leave(session, command)
    operation = LeaveChannel(session.user, command.channel)
    return Write(operation, lambda _: Ok.known(id=command.id))


async def channels(session: Session, command: Channels) -> ChannelList:
    """List the public channels."""
    limit = session.context.settings.limits.page
    rows, cursor = await session.context.reads.log(
        session.connection,
        session.user,
        lambda reader: reader.directory(session.user, cursor=command.cursor, limit=limit),
    )
    listings = tuple(
        ChannelListing(
            channel=row.name, topic=row.topic, members=row.members, archived=row.archived
        )
        for row in rows
    )
    return ChannelList(id=command.id, channels=listings, cursor=cursor)


async def who(session: Session, command: Who) -> Members:
    """List the members of a channel."""
    builtin.refuse(command.channel)
    user, limit = session.user, session.context.settings.limits.members
    page = await session.context.reads.log(
        session.connection,
        user,
        lambda reader: reader.members(user, command.channel, cursor=command.cursor, limit=limit),
    )
    return Members(
        id=command.id,
        channel=page.channel,
        members=session.subscriptions.with_presence(page.rows),
        cursor=page.cursor,
    )
