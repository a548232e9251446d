"""Permissions in a channel; each check returns or raises a `CommandError`.

A refusal never reveals to an outsider whether a direct channel exists.
"""

from __future__ import annotations

from chat.errors import CommandError, ErrorCode
from chat.rights import GENERAL
from chat.text import (
    channel_names,
    check_channel,
    direct_channel,
    fold,
    is_builtin,
    is_direct,
)

__all__ = [
    "MEMBER",
    "OWNER",
    "channel_key",
    "check_can_delete",
    "check_can_edit",
    "check_can_hide",
    "check_can_leave",
    "check_is_member",
    "check_may_open_direct",
    "effective_role",
    "no_such_channel",
    "no_such_message",
    "not_a_member",
]

OWNER = "owner"
MEMBER = "member"


def channel_key(channel: str) -> str:
    """Return the unique, case-insensitive key of a channel name.

    Raises:
        CommandError: forbidden for `#counter` and `#echo`, which store nothing; invalid for a
            text that is not a channel name.
    """
    if is_builtin(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN, f"{channel} is a built-in channel and stores nothing"
        )
    try:
        # Accept names of any length: a channel created under a longer limit stays reachable.
        return fold(
            direct_channel(channel_names(channel))
            if is_direct(channel)
            else check_channel(channel, len(channel))
        )
    except ValueError as exc:
        raise CommandError(ErrorCode.INVALID, f"channel: {exc}", field="channel") from None


def no_such_channel(channel: str) -> CommandError:
    """Return the error for a channel that does not exist, or is hidden from the user."""
    return CommandError(
        ErrorCode.NO_SUCH_CHANNEL, f"there is no channel {channel}", field="channel"
    )


def no_such_message(field: str = "seq") -> CommandError:
    """Return the error for a number that is not a message, or a deleted one."""
    return CommandError(
        ErrorCode.NO_SUCH_MESSAGE, "there is no such message in this channel", field=field
    )


def not_a_member(channel: str, *, is_private: bool = False) -> CommandError:
    """Return the error for a user who is not a member: a hidden channel does not exist for them."""
    if is_private or is_direct(channel):
        return no_such_channel(channel)
    return CommandError(
        ErrorCode.NOT_A_MEMBER, f"you are not a member of {channel}; join it first", field="channel"
    )


def check_is_member(channel: str, role: str | None, *, is_private: bool = False) -> str:
    """Return `role`; refuse None, which is the role of a non-member."""
    if role is None:
        raise not_a_member(channel, is_private=is_private)
    return role


def effective_role(channel: str, role: str, *, is_admin: bool) -> str:
    """Return the role of a member of the stored channel `channel` that is in force.

    `#general` belongs to the server's admins, and to nobody else.
    """
    if channel != GENERAL:
        return role
    if is_admin:
        return OWNER
    return MEMBER if role == OWNER else role


def check_may_open_direct(channel: str, user: str) -> None:
    """Allow opening a direct channel only to its participants."""
    if fold(user) not in map(fold, channel_names(channel)):
        raise no_such_channel(channel)


def check_can_edit(user_id: int, author_id: int) -> None:
    """Allow only the author to edit."""
    if user_id != author_id:
        raise CommandError(ErrorCode.FORBIDDEN, "only the author may edit a message")


def check_can_delete(user_id: int, author_id: int, role: str) -> None:
    """Allow only the author and owners of the channel to delete."""
    if user_id != author_id and role != OWNER:
        raise CommandError(
            ErrorCode.FORBIDDEN, "only the author or an owner of the channel may delete a message"
        )


def check_can_leave(channel: str, role: str | None) -> None:
    """Allow members to leave, except direct channels."""
    check_is_member(channel, role)
    if is_direct(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN,
            "a direct channel cannot be left; it can be hidden until its next message",
        )


def check_can_hide(channel: str) -> None:
    """Allow hiding only for direct channels."""
    if not is_direct(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN, f"only a direct channel can be hidden; leave {channel} instead"
        )
