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
    MemberPage,
    PublicChannel,
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
    subscriptions, live = session.subscriptions, session.services.hub
    subscriptions.expect_join(command.channel)

    def done(state: ChannelState) -> None:
        # A direct channel has no event that lists it.
        live.list_for((session.user.name,), state.name, state.head)
        subscriptions.join_done(command.channel)
        if not session.is_closed:
            subscriptions.follow(state.name, command.resume, reply)

    def failed(failure: Failure) -> None:
        subscriptions.join_done(command.channel)
        reply.error(failure)

    session.services.write(JoinChannel(session.user, command.channel), done, failed)


def leave(session: Session, command: Leave, reply: Reply) -> None:
    """End the membership, on all of one's devices."""
    if is_builtin(command.channel):
        builtin.leave(session, command.channel, reply)
        return

    def done(_result: None) -> None:
        reply.ok()

    session.services.write(LeaveChannel(session.user, command.channel), done, reply.error)


def channels(session: Session, command: Channels, reply: Reply) -> None:
    """List the public channels."""
    limit = session.services.limits.page

    def done(page: tuple[tuple[PublicChannel, ...], str | None]) -> None:
        rows, cursor = page
        listings = tuple(
            ChannelListing(channel=row.name, topic=row.topic, members=row.members) for row in rows
        )
        reply.frame(ChannelList(id=reply.id, channels=listings, cursor=cursor))

    session.services.read_in_turn(
        session.subscriptions,
        lambda reader: reader.directory(cursor=command.cursor, limit=limit),
        done,
        reply.error,
    )


def who(session: Session, command: Who, reply: Reply) -> None:
    """List the members of a channel."""
    builtin.refuse(command.channel)
    limit = session.services.limits.members

    def done(page: MemberPage) -> None:
        reply.frame(
            Members(
                id=reply.id,
                channel=page.channel,
                members=session.subscriptions.present(page.rows),
                cursor=page.cursor,
            )
        )

    session.services.read_in_turn(
        session.subscriptions,
        lambda reader: reader.members(
            session.user, command.channel, cursor=command.cursor, limit=limit
        ),
        done,
        reply.error,
    )
