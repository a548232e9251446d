"""Rights in a channel: one table, for the server, the client, and the manual.

`rights_of` returns what someone may do, from their standing in the channel and its settings. The
server decides with it, `joined` carries the result, and the client builds its menus from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

__all__ = [
    "ARCHIVED",
    "BY_SETTING",
    "DEFAULT",
    "DIRECT",
    "GENERAL",
    "MEMBER",
    "MODERATOR",
    "OWNER",
    "RANKS",
    "RETENTION_MIN",
    "RIGHTS",
    "ChannelSettings",
    "Right",
    "Standing",
    "outranks",
    "rights_of",
    "standing_of",
]

GENERAL = "#general"
"""The channel that belongs to the server: its admins have the rights of an owner in it."""

OWNER, MODERATOR, MEMBER = "owner", "moderator", "member"
RANKS = (MEMBER, MODERATOR, OWNER)
"""The roles in a channel, from the lowest to the highest."""
RETENTION_MIN = 86_400
"""Shortest retention of a channel, in seconds."""

Right = Literal[
    "read", "send", "leave", "typing", "pin", "topic", "invite", "moderate", "roles", "settings"
]
"""A right of a user in a channel.

- read: history, search, who, mark, following a thread
- send: messages, replies, edits of one's own messages, reactions
- leave: leave, delete one's own messages, set one's preferences
- typing: be shown as typing
- pin, topic: pin and unpin messages, set the topic
- invite: invite others, withdraw invitations
- moderate: delete others' messages; kick, ban and mute members; see the bans
- roles: change the roles of others
- settings: change settings, make the channel private, archive or delete it
"""

Standing = Literal["owner", "moderator", "member", "muted", "invited", "banned", "outsider"]
"""The standing of a user in a channel: their role, or what restricts it."""


class ChannelSettings(NamedTuple):
    """The settings of a channel, which its owner changes.

    `posting` says who may send, `invites`, `topic` and `pins` who may invite, set the topic, and
    pin: everyone (`everyone`, or `members`) or moderators and the owner (`moderators`).
    """

    posting: str = "everyone"
    invites: str = "members"
    topic: str = "members"
    pins: str = "members"
    private: bool = False
    archived: bool = False
    retention: int = 0
    """Seconds after which messages expire; 0: the server's default."""


DEFAULT = ChannelSettings()

_ALL: tuple[Right, ...] = (
    *("read", "send", "leave", "typing", "pin", "topic", "invite", "moderate", "roles"),
    "settings",
)
BY_SETTING: Mapping[Right, str] = {
    "send": "posting",
    "typing": "posting",
    "pin": "pins",
    "topic": "topic",
    "invite": "invites",
}
"""Rights of members that a setting may reserve for moderators."""

RIGHTS: Mapping[Standing, Collection[Right]] = {
    "owner": _ALL,
    "moderator": tuple(right for right in _ALL if right not in ("roles", "settings")),
    "member": ("read", "send", "leave", "typing", "pin", "topic", "invite"),
    "muted": ("read", "leave"),
    "invited": (),
    "banned": (),
    "outsider": (),
}
"""The rights of each standing; see `rights_of` for the settings that restrict them.

Someone who was invited may join or decline, and an outsider may join a public channel: neither is
a right in the channel.
"""

DIRECT: frozenset[Right] = frozenset(("read", "send", "leave", "typing", "pin", "topic"))
"""The rights of the participants of a direct channel; `leave` only hides it."""

ARCHIVED: frozenset[Right] = frozenset(("read", "leave", "roles", "settings"))
"""The rights that remain in an archived channel."""


def rights_of(standing: Standing, settings: ChannelSettings = DEFAULT) -> frozenset[Right]:
    """Return the rights of someone with this standing in a channel with these settings."""
    rights = frozenset(RIGHTS[standing])
    if standing == MEMBER:
        rights = frozenset(
            right
            for right in rights
            if right not in BY_SETTING or getattr(settings, BY_SETTING[right]) != "moderators"
        )
    return rights & ARCHIVED if settings.archived else rights


def standing_of(role: str, *, is_muted: bool) -> Standing:
    """Return the standing of a member. An owner cannot be muted.

    A role that this version does not know counts as member.
    """
    if role == OWNER:
        return "owner"
    if is_muted:
        return "muted"
    return "moderator" if role == MODERATOR else "member"


def outranks(role: str, other: str | None) -> bool:
    """Whether `role` is above `other`: nobody acts on an equal or higher role. None: no member."""
    ranks = {name: rank for rank, name in enumerate(RANKS)}
    return other is None or ranks.get(role, 0) > ranks.get(other, 0)
