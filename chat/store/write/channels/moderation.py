"""Rules of moderation: kick, ban, mute, roles, and the settings of a channel.

Each act is an event of the channel. Nobody acts on themselves, or on an equal or higher role. An
act that changes nothing appends nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, insert

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import EventFields
from chat.rights import GENERAL, MODERATOR, OWNER, RETENTION_MIN, ChannelSettings, Right
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    Kick,
    LiftChannelBan,
    Moderate,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
)
from chat.store.details import Details
from chat.store.operations import Appended, Muted, User
from chat.store.schema import channel_bans, mutes
from chat.store.sql import Prepared
from chat.store.write.access import (
    ban_in_force,
    check_outranks,
    check_right,
    find_channel,
    find_user,
    mute_in_force,
    role_in,
)
from chat.store.write.channels.invitations import end_invitation
from chat.store.write.channels.membership import end_membership
from chat.store.write.channels.ownership import can_own
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction

__all__ = ["ban", "change_settings", "kick", "lift_ban", "mute", "set_role", "unmute"]

RETENTION_AFTER = 86_400_000
"""Milliseconds from a change of the retention until it takes effect."""
_UNCHANGED = Appended(None, None, None, duplicate=True)

_REMOVE_BAN = Prepared(
    delete(channel_bans).where(
        channel_bans.c.channel_id == bindparam("channel"),
        channel_bans.c.user_id == bindparam("user"),
    )
)
_ADD_BAN = Prepared(
    insert(channel_bans), columns=[each.name for each in channel_bans.c if each.name != "id"]
)
_REMOVE_MUTE = Prepared(
    delete(mutes).where(
        mutes.c.channel_id == bindparam("channel"), mutes.c.user_id == bindparam("user")
    )
)
_ADD_MUTE = Prepared(insert(mutes))


def kick(transaction: Transaction, operation: Kick) -> Appended:
    """End the membership of someone else."""
    channel, target = _find(transaction, operation, "moderate")
    if transaction.lookups.role(channel, target) is None:
        return _UNCHANGED
    details = Details(by=operation.user, act="kick", reason=operation.reason)
    return _appended(end_membership(transaction, channel, target, details))


def ban(transaction: Transaction, operation: BanFromChannel) -> Appended:
    """Ban someone from the channel, in place of the previous ban; end their membership."""
    user, until, reason = operation.user, operation.until, operation.reason
    channel, target = _find(transaction, operation, "moderate")
    now = transaction.now()
    _check_until(until, now)
    is_member = transaction.lookups.role(channel, target) is not None
    before = ban_in_force(transaction, channel, target)
    if before is not None and (before.until, before.reason) == (until, reason):
        return _UNCHANGED
    transaction.execute(_REMOVE_BAN, channel=channel.id, user=target.id)
    transaction.execute(_ADD_BAN, **_row(channel, target, operation, now))
    end_invitation(transaction, channel, target)
    if is_member:
        details = Details(by=user, act="ban", until=until, reason=reason)
        return _appended(end_membership(transaction, channel, target, details))
    details = Details(user=target, until=until, reason=reason)
    return _appended(transaction.append(channel, user, "ban", details=details))


def lift_ban(transaction: Transaction, operation: LiftChannelBan) -> Appended:
    """Lift a ban from the channel."""
    channel, target = _find(transaction, operation, "moderate")
    if ban_in_force(transaction, channel, target) is None:
        return _UNCHANGED
    transaction.execute(_REMOVE_BAN, channel=channel.id, user=target.id)
    details = Details(user=target)
    return _appended(
        transaction.append(channel, operation.user, "ban", remove=True, details=details)
    )


def mute(transaction: Transaction, operation: MuteMember) -> Appended:
    """Mute a member, in place of the previous mute."""
    user, until, reason = operation.user, operation.until, operation.reason
    channel, target = _find(transaction, operation, "moderate")
    _check_is_member(transaction, channel, target)
    now = transaction.now()
    _check_until(until, now)
    before = mute_in_force(transaction, channel, target)
    if before is not None and (before.until, before.reason) == (until, reason):
        return _UNCHANGED
    transaction.execute(_REMOVE_MUTE, channel=channel.id, user=target.id)
    transaction.execute(_ADD_MUTE, **_row(channel, target, operation, now))
    channel.mutes[target.id] = Muted(user.name, until, reason)
    details = Details(user=target, until=until, reason=reason)
    return _appended(transaction.append(channel, user, "mute", details=details))


def unmute(transaction: Transaction, operation: UnmuteMember) -> Appended:
    """Lift a mute, also of someone who has left."""
    channel, target = _find(transaction, operation, "moderate")
    if mute_in_force(transaction, channel, target) is None:
        return _UNCHANGED
    transaction.execute(_REMOVE_MUTE, channel=channel.id, user=target.id)
    del channel.mutes[target.id]
    details = Details(user=target)
    return _appended(
        transaction.append(channel, operation.user, "mute", remove=True, details=details)
    )


def set_role(transaction: Transaction, operation: SetChannelRole) -> Appended:
    """Set the role of a member, or pass the ownership on; the former owner then moderates."""
    user, role = operation.user, operation.role
    channel, target = _find(transaction, operation, "roles")
    _check_is_member(transaction, channel, target)
    if role == role_in(transaction, channel, target):
        return _UNCHANGED
    if role == OWNER:
        if channel.fold == GENERAL:
            raise CommandError(
                ErrorCode.FORBIDDEN,
                f"{channel.name} belongs to the admins of this server",
                field="role",
            )
        if not can_own(transaction, target):
            raise CommandError(
                ErrorCode.FORBIDDEN,
                f"{target.name} is a bot, disabled or banned, and cannot own a channel",
                field="name",
            )
        transaction.set_role(channel, user, MODERATOR)
    transaction.set_role(channel, target, role)
    details = Details(user=target, role=role)
    return _appended(transaction.append(channel, user, "role", details=details))


def change_settings(transaction: Transaction, operation: ChangeSettings) -> Appended:
    """Change settings of the channel: one event with all of them."""
    user = operation.user
    channel = find_channel(transaction, user, operation.channel)
    check_right(transaction, channel, user, "settings")
    before, after = channel.settings, operation.applied_to(channel.settings)
    if channel.fold == GENERAL and (after.private or after.archived):
        what = "made private" if after.private else "archived"
        raise CommandError(ErrorCode.FORBIDDEN, f"{channel.name} cannot be {what}", field="channel")
    if before.private and not after.private:
        raise CommandError(
            ErrorCode.FORBIDDEN,
            "a private channel cannot be made public: its messages are for its members only",
            field="private",
        )
    if after.retention and after.retention < RETENTION_MIN:
        raise CommandError(
            ErrorCode.INVALID, "retention: must be 0 or at least one day", field="retention"
        )
    if after == before:
        return _UNCHANGED
    pairs = zip(ChannelSettings._fields, before, after, strict=True)
    changed = tuple(name for name, old, new in pairs if old != new)
    details = Details(settings=after, changed=changed)
    event = transaction.append(channel, user, "settings", details=details)
    retention_from = None
    if after.retention != before.retention:
        retention_from = event["ts"] + RETENTION_AFTER
    transaction.set_settings(channel, after, retention_from)
    return _appended(event)


def _find(transaction: Transaction, operation: Moderate, right: Right) -> tuple[Channel, User]:
    """Return the channel and the user concerned, on whom `operation.user` may act."""
    user = operation.user
    channel = find_channel(transaction, user, operation.channel)
    check_right(transaction, channel, user, right)
    target = find_user(transaction, operation.name)
    check_outranks(transaction, channel, user, target)
    return channel, target


def _check_is_member(transaction: Transaction, channel: Channel, user: User) -> None:
    if transaction.lookups.role(channel, user) is None:
        raise CommandError(
            ErrorCode.NO_SUCH_USER, f"{user.name} is not a member of {channel.name}", field="name"
        )


def _check_until(until: int | None, now: int) -> None:
    if until is not None and until <= now:
        raise CommandError(ErrorCode.INVALID, "until: must be in the future", field="until")


def _row(
    channel: Channel, target: User, operation: BanFromChannel | MuteMember, now: int
) -> dict[str, Any]:
    """Return the row of a ban or a mute."""
    return {
        "channel_id": channel.id,
        "user_id": target.id,
        "created": now,
        "until": operation.until,
        "reason": operation.reason,
        "by_id": operation.user.id,
    }


def _appended(event: EventFields) -> Appended:
    return Appended(event["seq"], event["mid"], event["ts"])
