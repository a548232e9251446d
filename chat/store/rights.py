"""Who may do what in a channel. Each rule returns or refuses.

A refusal never tells an outsider whether a direct channel exists.
"""

from __future__ import annotations

from chat.errors import CommandError, ErrorCode
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
    "no_such_channel",
    "no_such_message",
    "not_a_member",
]

OWNER = "owner"
MEMBER = "member"


def channel_key(channel: str) -> str:
    """Return the key under which a stored channel is unique, however its name was typed.

    Raises:
        CommandError: forbidden for `#counter` and `#echo`, which store nothing; invalid for what
            is no channel's name.
    """
    if is_builtin(channel):
        raise CommandError(ErrorCode.FORBIDDEN, f"{channel} is built in and stores nothing")
    try:
        # Names of every length: what was stored under a longer limit stays reachable.
        return fold(
            direct_channel(channel_names(channel))
            if is_direct(channel)
            else check_channel(channel, len(channel))
        )
    except ValueError as exc:
        raise CommandError(ErrorCode.INVALID, f"channel: {exc}", field="channel") from None


def no_such_channel(channel: str) -> CommandError:
    """Return the refusal for a channel that does not exist, or that one may not know of."""
    return CommandError(
        ErrorCode.NO_SUCH_CHANNEL, f"there is no channel {channel}", field="channel"
    )


def no_such_message(field: str = "seq") -> CommandError:
    """Return the refusal for a number that is no message, or one that was deleted."""
    return CommandError(
        ErrorCode.NO_SUCH_MESSAGE, "there is no such message in this channel", field=field
    )


def not_a_member(channel: str) -> CommandError:
    """Return the refusal for everybody who is no member."""
    if is_direct(channel):
        return no_such_channel(channel)
    return CommandError(
        ErrorCode.NOT_A_MEMBER, f"join {channel} first: you are not a member", field="channel"
    )


def check_is_member(channel: str, role: str | None) -> str:
    """Return the role of a member; refuse everybody else (`role` None)."""
    if role is None:
        raise not_a_member(channel)
    return role


def check_may_open_direct(channel: str, user: str) -> None:
    """Refuse to open a direct channel among others."""
    if fold(user) not in map(fold, channel_names(channel)):
        raise no_such_channel(channel)


def check_can_edit(user_id: int, author_id: int) -> None:
    """Refuse to edit what somebody else wrote."""
    if user_id != author_id:
        raise CommandError(ErrorCode.FORBIDDEN, "only its author may edit a message")


def check_can_delete(user_id: int, author_id: int, role: str) -> None:
    """Refuse to delete what somebody else wrote, but to an owner of the channel."""
    if user_id != author_id and role != OWNER:
        raise CommandError(
            ErrorCode.FORBIDDEN, "only its author, or an owner of the channel, may delete a message"
        )


def check_can_leave(channel: str, role: str | None) -> None:
    """Refuse to leave what one is not in, and direct channels."""
    check_is_member(channel, role)
    if is_direct(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN,
            "a direct channel cannot be left; it can be hidden until its next message",
        )


def check_can_hide(channel: str) -> None:
    """Refuse to hide a channel that can be left."""
    if not is_direct(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN, f"only a direct channel can be hidden; leave {channel} instead"
        )
