"""Inputs and outputs of the store for channels: roles, moderation, settings, invitations, threads.

As in `operations`, an operation carries names as typed, and the store decides it inside the
transaction with the table of `chat.rights`. Moderation is an event of the channel's log.
Invitations and ignored users are not: they are in the result, or in `Commit.uninvited`, and the
server sends them to the sessions concerned.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from chat.rights import ChannelSettings
from chat.store.operations import (
    OPEN,
    Appended,
    ChannelOperation,
    ChannelPolicy,
    ChannelState,
    OpenInvitation,
    Operation,
    ThreadState,
    User,
    operation,
)

__all__ = [
    "BanFromChannel",
    "ChangeSettings",
    "ChannelBan",
    "CreateChannel",
    "DeclineInvitation",
    "DeleteChannel",
    "Expire",
    "Expired",
    "FollowThread",
    "IgnoreUser",
    "IgnoredUsers",
    "InviteToChannel",
    "Invited",
    "Kick",
    "LiftChannelBan",
    "MarkThread",
    "MarkedThread",
    "Moderate",
    "MuteMember",
    "SetChannelRole",
    "UnmuteMember",
    "WithdrawInvitation",
]


class ChannelBan(NamedTuple):
    """A ban from a channel."""

    id: int
    name: str
    created: int
    until: int | None
    reason: str
    by: str | None


@operation
class CreateChannel(ChannelOperation[ChannelState]):
    """Create `channel` with the user as its owner; refused if the name is taken or reserved."""

    user: User
    channel: str
    private: bool = False
    topic: str = ""
    policy: ChannelPolicy = OPEN


class Moderate(ChannelOperation[Appended]):
    """An act of moderation against the user called `name`: an event of the channel.

    It has no `cid`: a repeated act changes nothing, and its result is a duplicate. `until` is in
    milliseconds since 1970; None: until lifted.
    """

    __slots__ = ()

    name: str


@operation
class Kick(Moderate):
    """End the membership of `name`; appends their `leave` event with `act: kick`."""

    user: User
    channel: str
    name: str
    reason: str = ""


@operation
class BanFromChannel(Moderate):
    """Ban `name`: a `leave` event with `act: ban` for a member, a `ban` event for others.

    It also withdraws an invitation. A ban of someone who is banned replaces the previous one.
    """

    user: User
    channel: str
    name: str
    until: int | None = None
    reason: str = ""


@operation
class LiftChannelBan(Moderate):
    """Lift a ban: a `ban` event with `remove`."""

    user: User
    channel: str
    name: str


@operation
class MuteMember(Moderate):
    """Mute a member, or change the mute."""

    user: User
    channel: str
    name: str
    until: int | None = None
    reason: str = ""


@operation
class UnmuteMember(Moderate):
    """Lift a mute: a `mute` event with `remove`."""

    user: User
    channel: str
    name: str


@operation
class SetChannelRole(Moderate):
    """Set the role of a member; `owner` passes the ownership on, the former owner moderates."""

    user: User
    channel: str
    name: str
    role: str


@operation
class ChangeSettings(ChannelOperation[Appended]):
    """Change settings of the channel; None leaves one unchanged. `private` cannot be removed."""

    user: User
    channel: str
    posting: str | None = None
    invites: str | None = None
    topic: str | None = None
    pins: str | None = None
    private: bool | None = None
    retention: int | None = None
    archived: bool | None = None

    def applied_to(self, settings: ChannelSettings) -> ChannelSettings:
        """Return `settings` with the changes."""
        names = ChannelSettings._fields
        asked = {name: value for name in names if (value := getattr(self, name)) is not None}
        return settings._replace(**asked)


@operation
class DeleteChannel(ChannelOperation[None]):
    """Delete the channel: its last event is `deleted`, and its log is erased in steps.

    The name is free at once.
    """

    user: User
    channel: str


class Invited(NamedTuple):
    """The invited user and the invitation; None: it does not reach them, or they had one."""

    user: User
    invitation: OpenInvitation | None


@operation
class InviteToChannel(ChannelOperation[Invited]):
    """Invite `name` to the channel. The inviter cannot tell whether it reaches them."""

    user: User
    channel: str
    name: str


@operation
class WithdrawInvitation(ChannelOperation[None]):
    """Withdraw an invitation of `name`: one's own, or as a moderator any.

    See `Commit.uninvited`.
    """

    user: User
    channel: str
    name: str


@operation
class DeclineInvitation(ChannelOperation[None]):
    """Decline an invitation of the user. Idempotent."""

    user: User
    channel: str


class IgnoredUsers(NamedTuple):
    """All users whom a user ignores, by name; `changed` is false if it was so before."""

    names: tuple[str, ...]
    changed: bool


@operation
class IgnoreUser(Operation[IgnoredUsers]):
    """Ignore the user called `name`, or with `remove` no longer."""

    user: User
    name: str
    remove: bool = False


class MarkedThread(NamedTuple):
    """A thread's marker after the commit; `moved` is false if nothing changed."""

    channel: ChannelState
    state: ThreadState
    following: bool
    moved: bool


@operation
class MarkThread(ChannelOperation[MarkedThread]):
    """Move the user's read marker in the thread with the root `thread` forward to `seq`."""

    is_shared: ClassVar[bool] = True

    user: User
    channel: str
    thread: int
    seq: int


@operation
class FollowThread(ChannelOperation[MarkedThread]):
    """Follow the thread of the message `thread`, or with `remove` no longer."""

    is_shared: ClassVar[bool] = True

    user: User
    channel: str
    thread: int
    remove: bool = False


class Expired(NamedTuple):
    """The result of a step of the retention.

    `next_in` is the time in seconds until the next step makes sense: 0 if there is more to do.
    `refused` names the channels (by id) of which more than a tenth would expire at once.
    """

    next_in: float
    refused: tuple[int, ...] = ()
    jump: float = 0.0
    """Seconds by which the clock has jumped since the first step; the sweep stops if it has."""


@operation
class Expire(Operation[Expired]):
    """Erase the texts of old messages of the next channel: one small step, one `expire` event.

    `retention` is that of the server, in seconds; 0: only channels with one of their own expire.
    """

    retention: int
