"""Handle the commands of owners and moderators: kick, ban, mute, roles, settings, deletion.

The store checks the user's rights in the transaction. The effects on sessions, such as the end of a
membership, follow from the event in the channel's log (`server/channels/live.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol import commands, frames
from chat.protocol.frames import Ok
from chat.server.handlers import builtin
from chat.server.handlers.messages import appended
from chat.server.writes import Write
from chat.store import channels as store
from chat.store.operations import Appended

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = [
    "archive",
    "ban",
    "bans",
    "change",
    "delete_channel",
    "kick",
    "mute",
    "role",
    "unban",
    "unmute",
]


def kick(session: Session, command: commands.Kick) -> Write[Appended]:
    """End the membership of another user."""
    builtin.refuse(command.channel)
    return appended(
        command, store.Kick(session.user, command.channel, command.name, command.reason)
    )


def ban(session: Session, command: commands.Ban, channel: str) -> Write[Appended]:
    """Ban a user from `channel`."""
    builtin.refuse(channel)
    assert command.name is not None, "the model has checked it"
    return appended(
        command,
        store.BanFromChannel(session.user, channel, command.name, command.until, command.reason),
    )


def unban(session: Session, command: commands.Unban, channel: str) -> Write[Appended]:
    """Lift a ban from `channel`."""
    builtin.refuse(channel)
    assert command.name is not None, "the model has checked it"
    return appended(command, store.LiftChannelBan(session.user, channel, command.name))


async def bans(session: Session, command: commands.ListBans, channel: str) -> frames.Bans:
    """List the bans in force from `channel`."""
    builtin.refuse(channel)
    user, limit = session.user, session.context.settings.limits.page
    name, found, cursor = await session.context.reads.log(
        session.connection,
        user,
        lambda reader: reader.channel_bans(user, channel, cursor=command.cursor, limit=limit),
    )
    return frames.Bans(id=command.id, channel=name, bans=tuple(map(_ban, found)), cursor=cursor)


def mute(session: Session, command: commands.MuteUser) -> Write[Appended]:
    """Mute a member."""
    builtin.refuse(command.channel)
    return appended(
        command,
        store.MuteMember(
            session.user, command.channel, command.name, command.until, command.reason
        ),
    )


def unmute(session: Session, command: commands.Unmute) -> Write[Appended]:
    """Lift a mute."""
    builtin.refuse(command.channel)
    return appended(command, store.UnmuteMember(session.user, command.channel, command.name))


def role(session: Session, command: commands.SetRole) -> Write[Appended]:
    """Set the role of a member, or pass the ownership on."""
    builtin.refuse(command.channel)
    return appended(
        command,
        store.SetChannelRole(session.user, command.channel, command.name, command.role),
    )


def change(session: Session, command: commands.ChangeChannel) -> Write[Appended]:
    """Change settings of a channel."""
    builtin.refuse(command.channel)
    return appended(
        command,
        store.ChangeSettings(
            session.user,
            command.channel,
            posting=command.posting,
            invites=command.invites,
            topic=command.topic,
            pins=command.pins,
            private=command.private,
            retention=command.retention,
        ),
    )


def archive(session: Session, command: commands.Archive) -> Write[Appended]:
    """Make a channel read-only, or end that."""
    builtin.refuse(command.channel)
    return appended(
        command,
        store.ChangeSettings(session.user, command.channel, archived=not command.remove),
    )


def delete_channel(session: Session, command: commands.DeleteChannel) -> Write[None]:
    """Delete a channel for everyone."""
    builtin.refuse(command.channel)
    operation = store.DeleteChannel(session.user, command.channel)
    return Write(operation, lambda _: Ok.known(id=command.id))


def _ban(ban: store.ChannelBan) -> frames.BanInfo:
    return frames.BanInfo(
        id=ban.id,
        name=ban.name,
        address=None,
        created=ban.created,
        until=ban.until,
        reason=ban.reason,
        by=ban.by,
    )
