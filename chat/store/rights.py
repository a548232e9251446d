"""Refusals of what a user may not do in a channel, and checks that return or raise one.

`chat.rights` has the rights. A refusal never tells an outsider whether a private or direct channel
exists: it is the same as for a missing one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from chat.errors import CommandError, ErrorCode
from chat.rights import (
    GENERAL,
    MEMBER,
    MODERATOR,
    OWNER,
    ChannelSettings,
    Right,
    rights_of,
)
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
    "ROLE_NAMES",
    "archived",
    "banned_from",
    "channel_key",
    "check_can_edit",
    "check_can_hide",
    "check_is_member",
    "check_may_open_direct",
    "effective_role",
    "end_and_reason",
    "forbidden",
    "muted_in",
    "name_unavailable",
    "no_such_channel",
    "no_such_message",
    "not_a_member",
]

ROLE_NAMES = {OWNER: "the owner", MODERATOR: "a moderator", MEMBER: "a member"}
_ACTS: Mapping[Right, str] = {
    "read": "read",
    "send": "send messages",
    "leave": "leave",
    "typing": "send messages",
    "pin": "pin messages",
    "topic": "set the topic",
    "invite": "invite others",
    "moderate": "do this",
    "roles": "change roles",
    "settings": "change the channel",
}


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
    """Return the error for a user who is not a member of `channel`, a name as typed."""
    if is_private or is_direct(channel):
        return no_such_channel(channel)
    return CommandError(
        ErrorCode.NOT_A_MEMBER, f"you are not a member of {channel}; join it first", field="channel"
    )


def name_unavailable(channel: str) -> CommandError:
    """Return the error for the name of a new channel that is reserved or that of a private channel.

    It is the same for both, so that it does not reveal a private channel.
    """
    return CommandError(
        ErrorCode.NAME_UNAVAILABLE,
        f"the name {channel} cannot be used: choose another",
        field="channel",
    )


def banned_from(channel: str, by: str, until: int | None, reason: str) -> CommandError:
    """Return the error for a user who is banned from a public channel."""
    return CommandError(
        ErrorCode.BANNED,
        f"{by} has banned you from {channel}{end_and_reason(until, reason)}",
        field="channel",
    )


def muted_in(channel: str, by: str, until: int | None, reason: str) -> CommandError:
    """Return the error for a user who is muted in a channel."""
    return CommandError(
        ErrorCode.MUTED,
        f"{by} has muted you in {channel}{end_and_reason(until, reason)}",
        field="channel",
    )


def archived(channel: str) -> CommandError:
    """Return the error for an act that an archived channel does not allow."""
    return CommandError(
        ErrorCode.ARCHIVED, f"{channel} is archived: it can only be read", field="channel"
    )


def forbidden(channel: str, right: Right, settings: ChannelSettings) -> CommandError:
    """Return the error for a member of a channel whose role does not have a right."""
    if is_direct(channel):
        message = "this is not possible in a direct channel"
    elif right in rights_of("moderator", settings):
        message = f"only moderators of {channel} may {_ACTS[right]}"
    elif fold(channel) == GENERAL:
        message = f"only the admins of this server may {_ACTS[right]} in {channel}"
    else:
        message = f"only the owner of {channel} may {_ACTS[right]}"
    return CommandError(ErrorCode.FORBIDDEN, message, field="channel")


def end_and_reason(until: int | None, reason: str) -> str:
    """Return the end and the reason of a ban or a mute, for the end of a sentence."""
    return (f" until {_moment(until)}" if until is not None else "") + (
        f": {reason}" if reason else ""
    )


def _moment(ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError):  # beyond the year 9999
        return "further notice"


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


def check_can_hide(channel: str) -> None:
    """Allow hiding only for direct channels."""
    if not is_direct(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN, f"only a direct channel can be hidden; leave {channel} instead"
        )
