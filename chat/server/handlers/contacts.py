"""Handle invitations to channels, and the list of ignored users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol import commands
from chat.protocol.frames import Ignored, Invited, Ok
from chat.server.channels.live import invitation_frame
from chat.server.handlers import builtin
from chat.server.writes import Write
from chat.store import channels as store

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["decline", "ignore", "invite", "unignore", "uninvite"]


def invite(session: Session, command: commands.Invite) -> Write[store.Invited]:
    """Invite a user; the answer does not say whether the invitation reaches them."""
    builtin.refuse(command.channel)
    channels = session.context.channels

    def answer(invited: store.Invited) -> Ok:
        if invited.invitation is not None:
            frame = Invited(invitation=invitation_frame(invited.invitation))
            channels.send_to(invited.user.name, frame)
        return Ok.known(id=command.id)

    operation = store.InviteToChannel(session.user, command.channel, command.name)
    return Write(operation, answer)


def uninvite(session: Session, command: commands.Uninvite) -> Write[None]:
    """Withdraw an invitation."""
    builtin.refuse(command.channel)
    operation = store.WithdrawInvitation(session.user, command.channel, command.name)
    return Write(operation, lambda _: Ok.known(id=command.id))


def decline(session: Session, command: commands.Decline) -> Write[None]:
    """Decline an invitation."""
    builtin.refuse(command.channel)
    operation = store.DeclineInvitation(session.user, command.channel)
    return Write(operation, lambda _: Ok.known(id=command.id))


def ignore(session: Session, command: commands.Ignore) -> Write[store.IgnoredUsers]:
    """Ignore a user."""
    return _ignored(session, command, store.IgnoreUser(session.user, command.name))


def unignore(session: Session, command: commands.Unignore) -> Write[store.IgnoredUsers]:
    """Stop ignoring a user."""
    return _ignored(session, command, store.IgnoreUser(session.user, command.name, remove=True))


def _ignored(
    session: Session, command: commands.BaseCommand, operation: store.IgnoreUser
) -> Write[store.IgnoredUsers]:
    """Change the list, and send it to all sessions of the user."""
    name, channels = session.user.name, session.context.channels

    def answer(ignored: store.IgnoredUsers) -> Ok:
        if ignored.changed:
            frame = Ignored(names=ignored.names)
            channels.send_to(name, frame)
        return Ok.known(id=command.id)

    return Write(operation, answer)
