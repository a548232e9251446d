"""The model's rules of the commands for rooms; `ROOM_RULES` extends those of `rules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chat.errors import ErrorCode
from chat.protocol import commands
from chat.protocol.frames import Ignored, Invited, Ok, Read
from chat.protocol.values import ChannelSettings
from tests.model.chat import GENERAL, Chat, Refused, key_of
from tests.model.log import Log, Marker, Mute
from tests.model.table import outranks

__all__ = ["FAR", "PAST", "ROOM_RULES", "ban_from_channel", "mark_thread", "unban_from_channel"]

FAR, PAST = 4_000_000_000_000, 1_000
"""Ends of bans and mutes, in milliseconds: after, and before every test."""


def _create(chat: Chat, number: int, create: commands.Create) -> None:
    user = chat.sessions[number].user
    if create.channel.startswith("@"):
        raise Refused(ErrorCode.INVALID)
    if key_of(create.channel) in chat.logs:
        raise Refused(ErrorCode.NAME_UNAVAILABLE)
    log = chat.logs[key_of(create.channel)] = Log(create.channel)
    log.settings["private"] = create.private
    chat.enter(log, user, chat.first_role(user))
    if create.topic:
        log.topic = create.topic
        chat.append(log, user, "topic", topic=create.topic)
    chat.follow(number, log, None, create.id)
    chat.announce(log, [user])


def _target(chat: Chat, number: int, command: Any, right: str) -> tuple[str, Log, str]:
    """Return the user, the channel, and the user on whom they may act."""
    user, log = chat.seat(number, command.channel, right)
    target = chat.accounts.find(command.name).name
    its_role = chat.role_of(log, target) if target in log.roles else None
    if target == user or not outranks(chat.role_of(log, user), its_role):
        raise Refused(ErrorCode.FORBIDDEN)
    return user, log, target


def _check_is_member(log: Log, name: str) -> None:
    if name not in log.roles:
        raise Refused(ErrorCode.NO_SUCH_USER)


def _check_until(until: int | None) -> None:
    if until == PAST:
        raise Refused(ErrorCode.INVALID)


def _unchanged(chat: Chat, number: int, command: commands.BaseCommand) -> None:
    chat.outgoing[number].append(Ok(id=command.id, duplicate=True))


def _kick(chat: Chat, number: int, kick: commands.Kick) -> None:
    user, log, target = _target(chat, number, kick, "moderate")
    if target not in log.roles:
        return _unchanged(chat, number, kick)
    entry = chat.remove(log, target, by=user, act="kick", reason=kick.reason or None)
    return chat.done(number, kick, entry)


def ban_from_channel(chat: Chat, number: int, ban: commands.Ban) -> None:
    """Ban a user from a channel."""
    user, log, target = _target(chat, number, ban, "moderate")
    _check_until(ban.until)
    made = Mute(user, ban.until, ban.reason)
    before = log.bans.get(target)
    if before and (before.until, before.reason) == (made.until, made.reason):
        return _unchanged(chat, number, ban)
    log.bans[target] = made
    details: dict[str, Any] = {"until": ban.until, "reason": ban.reason or None}
    if target in log.roles:
        entry = chat.remove(log, target, by=user, act="ban", **details)
    else:
        entry = chat.append(log, user, "ban", user=target, **details)
    chat.uninvite(log, target)
    return chat.done(number, ban, entry)


def unban_from_channel(chat: Chat, number: int, unban: commands.Unban) -> None:
    """Lift a ban from a channel."""
    user, log, target = _target(chat, number, unban, "moderate")
    if log.bans.pop(target, None) is None:
        return _unchanged(chat, number, unban)
    return chat.done(number, unban, chat.append(log, user, "ban", user=target, remove=True))


def _mute(chat: Chat, number: int, mute: commands.MuteUser) -> None:
    user, log, target = _target(chat, number, mute, "moderate")
    _check_is_member(log, target)
    _check_until(mute.until)
    made = Mute(user, mute.until, mute.reason)
    before = log.mutes.get(target)
    if before and (before.until, before.reason) == (made.until, made.reason):
        return _unchanged(chat, number, mute)
    log.mutes[target] = made
    chat.stop_typing(log, target)
    details: dict[str, Any] = {"until": mute.until, "reason": mute.reason or None}
    return chat.done(number, mute, chat.append(log, user, "mute", user=target, **details))


def _unmute(chat: Chat, number: int, unmute: commands.Unmute) -> None:
    user, log, target = _target(chat, number, unmute, "moderate")
    if log.mutes.pop(target, None) is None:
        return _unchanged(chat, number, unmute)
    chat.stop_typing(log, target)
    return chat.done(number, unmute, chat.append(log, user, "mute", user=target, remove=True))


def _role(chat: Chat, number: int, command: commands.SetRole) -> None:
    user, log, target = _target(chat, number, command, "roles")
    _check_is_member(log, target)
    if command.role == chat.role_of(log, target):
        return _unchanged(chat, number, command)
    if command.role == "owner":
        account = chat.accounts.find(target)
        if log.name == GENERAL or account.role == "bot" or account.standing is not None:
            raise Refused(ErrorCode.FORBIDDEN)
        log.roles[user] = "moderator"
    log.roles[target] = command.role
    chat.stop_typing(log, target)
    entry = chat.append(log, user, "role", user=target, role=command.role)
    return chat.done(number, command, entry)


def _change(chat: Chat, number: int, command: commands.ChangeChannel | commands.Archive) -> None:
    user, log = chat.seat(number, command.channel, "settings")
    if isinstance(command, commands.Archive):
        asked: dict[str, Any] = {"archived": not command.remove}
    else:
        asked = command.model_dump(exclude={"id", "type", "channel"}, exclude_none=True)
    after = log.settings | asked
    is_general = log.name == GENERAL and (after["private"] or after["archived"])
    if is_general or (log.is_private and not after["private"]):
        raise Refused(ErrorCode.FORBIDDEN)
    changed = tuple(name for name, value in after.items() if value != log.settings[name])
    if not changed:
        return _unchanged(chat, number, command)
    log.settings = after
    log.typing.clear()
    settings = ChannelSettings(**after)
    entry = chat.append(log, user, "settings", settings=settings, changed=changed)
    return chat.done(number, command, entry)


def _delete_channel(chat: Chat, number: int, command: commands.DeleteChannel) -> None:
    user, log = chat.seat(number, command.channel, "settings")
    if log.name == GENERAL:
        raise Refused(ErrorCode.FORBIDDEN)
    chat.delete(log, user)
    chat.ok(number, command)


def _invite(chat: Chat, number: int, invite: commands.Invite) -> None:
    user, log = chat.seat(number, invite.channel)
    chat.check_may(log, user, "invite")
    name = chat.accounts.find(invite.name).name
    is_silent = user in chat.ignored[name] or name in log.bans
    before = log.invited.get(name)
    if name not in log.roles and (before is None or (before[1] and not is_silent)):
        log.invited[name] = user, is_silent
        chat.invitations += 1
        log.invited_at[name] = chat.invitations
        for each in () if is_silent else chat.sessions_of(name):
            chat.outgoing[each].append(Invited(invitation=chat.invitation_to(log, name)))
    chat.ok(number, invite)


def _uninvite(chat: Chat, number: int, uninvite: commands.Uninvite) -> None:
    user, log = chat.seat(number, uninvite.channel, "invite")
    name = chat.accounts.find(uninvite.name).name
    by, _is_silent = log.invited.get(name, (None, True))
    if by == user or chat.may(log, user, "moderate"):
        chat.uninvite(log, name)
    chat.ok(number, uninvite)


def _decline(chat: Chat, number: int, decline: commands.Decline) -> None:
    user, log = chat.sessions[number].user, chat.logs.get(key_of(decline.channel))
    if log is not None and not log.invited.get(user, ("", True))[1]:
        chat.uninvite(log, user)
    chat.ok(number, decline)


def _ignore(chat: Chat, number: int, command: commands.Ignore | commands.Unignore) -> None:
    user, other = chat.sessions[number].user, chat.accounts.find(command.name).name
    if user == other:
        raise Refused(ErrorCode.FORBIDDEN)
    before = set(chat.ignored[user])
    is_ignored = isinstance(command, commands.Ignore)
    (chat.ignored[user].add if is_ignored else chat.ignored[user].discard)(other)
    if chat.ignored[user] != before:
        for each in chat.sessions_of(user):
            chat.outgoing[each].append(Ignored(names=chat.names_ignored_by(user)))
    chat.ok(number, command)


def _root(log: Log, seq: int) -> int:
    if seq > log.head or log.entries[seq - 1].kind != "message":
        raise Refused(ErrorCode.NO_SUCH_MESSAGE)
    return log.root(seq)


def mark_thread(chat: Chat, number: int, mark: commands.Mark) -> None:
    """Move a marker in a thread forward."""
    user, log = chat.seat(number, mark.channel)
    if mark.seq > log.head:
        raise Refused(ErrorCode.INVALID)
    root = _root(log, mark.thread or 0)
    marker = log.threads.get((user, root))
    moved = marker is not None and marker.is_following and marker.read < mark.seq
    if marker is not None and moved:
        marker.read = mark.seq
    _thread_changed(chat, number, mark, log, root, moved=moved)


def _follow(chat: Chat, number: int, follow: commands.Follow) -> None:
    user, log = chat.seat(number, follow.channel)
    root, following = _root(log, follow.thread), not follow.remove
    marker = log.threads.get((user, root))
    moved = following if marker is None else marker.is_following != following
    if marker is None or moved:
        log.threads[user, root] = Marker(log.head, following)
    _thread_changed(chat, number, follow, log, root, moved=moved)


def _thread_changed(
    chat: Chat, number: int, command: commands.BaseCommand, log: Log, root: int, *, moved: bool
) -> None:
    user = chat.sessions[number].user
    marker = log.threads.get((user, root))
    counts: dict[str, Any] = {"seq": 0, "version": 0, "unread": 0, "mentions": 0}
    following = marker is not None and marker.is_following
    if following:
        state = chat.thread(log, user, root)
        counts = {"seq": state.read, "version": state.read}
        counts |= {"unread": state.unread, "mentions": state.mentions}
    if moved:
        read = Read(channel=log.name, head=log.head, thread=root, following=following, **counts)
        for each in chat.sessions_of(user):
            chat.outgoing[each].append(read)
    chat.outgoing[number].append(Ok(id=command.id, seq=counts["seq"] or None))


ROOM_RULES: dict[type, Callable[[Chat, int, Any], None]] = {
    commands.Create: _create,
    commands.Kick: _kick,
    commands.MuteUser: _mute,
    commands.Unmute: _unmute,
    commands.SetRole: _role,
    commands.ChangeChannel: _change,
    commands.Archive: _change,
    commands.DeleteChannel: _delete_channel,
    commands.Invite: _invite,
    commands.Uninvite: _uninvite,
    commands.Decline: _decline,
    commands.Ignore: _ignore,
    commands.Unignore: _ignore,
    commands.Follow: _follow,
}
