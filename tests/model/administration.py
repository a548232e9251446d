"""The model's rules of the commands for accounts; `ACCOUNT_RULES` extends those of `rules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chat.errors import ErrorCode
from chat.protocol import commands, frames
from tests.model.accounts import Invitation
from tests.model.chat import Chat, Refused
from tests.model.rooms import ban_from_channel, unban_from_channel

__all__ = ["ACCOUNT_RULES"]


def _account(chat: Chat, number: int, command: commands.AccountCommand) -> None:
    user, name = chat.sessions[number].user, command.name
    if command.role is not None:
        is_changed = chat.accounts.change_role(user, name, command.role)
    else:
        assert command.disabled is not None
        is_changed = chat.accounts.disable(user, name, command.disabled)
    account = chat.accounts.find(name)
    info = chat.account_info(account)
    chat.outgoing[number].append(frames.Account(id=command.id, account=info))
    if is_changed and command.role is not None:
        chat.notify(account)
        if command.role == "bot":
            chat.pass_on_all(account.name)
    elif is_changed and command.disabled:
        chat.end(account.name, ErrorCode.DISABLED)
        chat.pass_on_all(account.name)


def _ban(chat: Chat, number: int, command: commands.Ban) -> None:
    if command.channel is not None:
        ban_from_channel(chat, number, command)
        return
    assert command.name is not None
    user = chat.sessions[number].user
    replaced = chat.accounts.ban(user, command.name, command.reason, force=command.force)
    chat.outgoing[number].append(frames.Ok(id=command.id, replaced=replaced))
    account = chat.accounts.find(command.name)
    chat.end(account.name, ErrorCode.BANNED)
    if replaced is None or replaced.reason != account.ban:  # the same ban again changes nothing
        chat.pass_on_all(account.name)


def _unban(chat: Chat, number: int, command: commands.Unban) -> None:
    if command.channel is not None:
        unban_from_channel(chat, number, command)
        return
    assert command.name is not None
    chat.accounts.unban(chat.sessions[number].user, command.name)
    chat.ok(number, command)


def _invite(chat: Chat, number: int, command: commands.CreateInvitation) -> None:
    user = chat.sessions[number].user
    chat.accounts.check_is_admin(user)
    found = [chat.logs.get(name.lower()) for name in command.channels]
    names = tuple(log.name for log in found if log is not None)
    if any(log.is_direct for log in found if log is not None):
        raise Refused(ErrorCode.INVALID)
    if any(log.is_private for log in found if log is not None):
        raise Refused(ErrorCode.NAME_UNAVAILABLE)
    made = chat.accounts.invite(user, command.uses, command.role, names)
    answer = frames.InvitationFrame(id=command.id, code="", invitation=_invitation(made))
    chat.outgoing[number].append(answer)


def _invitation(made: Invitation) -> frames.Invitation:
    return frames.Invitation(
        id=0,
        created=0,
        expires=0,
        uses=made.uses,
        used=len(made.used),
        role=made.role,
        channels=made.channels,
        by=made.by,
        revoked=made.is_revoked,
    )


def _invitations(chat: Chat, number: int, command: commands.ListInvitations) -> None:
    chat.accounts.check_is_admin(chat.sessions[number].user)
    newest = chat.accounts.invitations[::-1]
    listed = tuple(map(_invitation, newest[: chat.limits.page]))
    cursor = 0 if len(newest) > chat.limits.page else None
    chat.outgoing[number].append(
        frames.Invitations(id=command.id, invitations=listed, cursor=cursor)
    )


def _revoke(chat: Chat, number: int, command: commands.Revoke) -> None:
    """Revoke a device or an invitation; numbers are those of the model (see `Scene.step`)."""
    user = chat.sessions[number].user
    if command.invitation is not None:
        chat.accounts.revoke_invitation(user, chat.invitation_numbers[command.invitation])
        chat.ok(number, command)
        return
    device = chat.device_tokens[command.device or 0]
    is_revoked = chat.accounts.revoke_device(user, device)
    chat.ok(number, command)
    if is_revoked:
        chat.end(user, ErrorCode.REVOKED, device)


def _link(chat: Chat, number: int, command: commands.CreateLink) -> None:
    chat.accounts.new_link(chat.sessions[number].user)
    chat.outgoing[number].append(frames.LinkCode(id=command.id, code="", expires=0))


def _devices(chat: Chat, number: int, command: commands.ListDevices) -> None:
    present = chat.sessions[number]
    valid = [
        token
        for token, is_revoked in chat.accounts.find(present.user).devices.items()
        if not is_revoked
    ]
    listed = tuple(
        frames.Device(id=0, label="", created=0, current=token == present.device)
        for token in reversed(valid)
    )
    chat.outgoing[number].append(frames.Devices(id=command.id, devices=listed))


ACCOUNT_RULES: dict[type, Callable[[Chat, int, Any], None]] = {
    commands.AccountCommand: _account,
    commands.Ban: _ban,
    commands.Unban: _unban,
    commands.CreateInvitation: _invite,
    commands.ListInvitations: _invitations,
    commands.Revoke: _revoke,
    commands.CreateLink: _link,
    commands.ListDevices: _devices,
}
