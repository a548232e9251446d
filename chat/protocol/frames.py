"""Frames of a server. One class per `type`, and a union of all.

A client ignores unknown fields and types.
"""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

from typing import Annotated, Literal

from pydantic import ConfigDict, FailFast, Field

from chat.protocol.items import Event, Items
from chat.protocol.limits import LIST_MAX, USUAL_LEVEL
from chat.protocol.values import (
    CHANNELS_MAX,
    Act,
    Channel,
    ChannelSettings,
    Cid,
    Count,
    Epoch,
    Flag,
    Id,
    Level,
    Limits,
    Line,
    Mid,
    Name,
    Names,
    Passage,
    Pinned,
    Position,
    Presence,
    Role,
    Seconds,
    Seq,
    ServerRole,
    Text,
    Time,
    Token,
    Topic,
    Wire,
    Word,
    at_most,
)

__all__ = [
    "Account",
    "AccountInfo",
    "Audit",
    "AuditEntry",
    "BanInfo",
    "Bans",
    "Bye",
    "ChannelInvitation",
    "ChannelList",
    "ChannelListing",
    "Device",
    "Devices",
    "ErrorFrame",
    "Heads",
    "Hit",
    "Ignored",
    "Invitation",
    "InvitationFrame",
    "Invitations",
    "Invited",
    "Joined",
    "LimitsFrame",
    "LinkCode",
    "Member",
    "Members",
    "Membership",
    "Mute",
    "Ok",
    "Page",
    "Preferences",
    "PresenceFrame",
    "Read",
    "Removed",
    "Results",
    "ServerFrame",
    "ServerInfo",
    "ThreadState",
    "Tick",
    "TypingFrame",
    "Users",
    "Welcome",
]


def _is_empty(value: object) -> bool:
    return not value


def _is_usual(settings: object) -> bool:
    return settings == ChannelSettings()


class _Frame(Wire):
    """Base of the frames of a server; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class ServerInfo(_Frame):
    """The server; a client stores tokens, cache and outbox by its `id`, not by URL."""

    id: Line
    name: Line
    version: Line


class Mute(_Frame):
    """A mute of the user in a channel: they may read, but not send."""

    by: Name
    until: Time | None = None
    """None: until lifted."""
    reason: Line | None = None


class ThreadState(_Frame):
    """A thread that the user follows: they wrote in it, started it, or chose to follow it."""

    thread: Seq
    """The root."""
    read: Position
    unread: Count
    """Replies of others above `read` that are not in the channel's timeline."""
    mentions: Count


class ChannelInvitation(_Frame):
    """An invitation of the user to a channel, until they join or decline, or it is withdrawn."""

    channel: Channel
    by: Name
    ts: Time
    topic: Topic = ""
    private: Flag = False


class Membership(_Frame):
    """A channel of the user, as listed in `welcome`."""

    channel: Channel
    epoch: Epoch
    head: Position
    role: Role
    topic: Topic
    read: Position
    unread: Count
    mentions: Count
    pinned: Pinned = 0
    muted: Flag = False
    level: Level = USUAL_LEVEL
    settings: ChannelSettings = Field(default=ChannelSettings(), exclude_if=_is_usual)
    mute: Mute | None = None
    """A mute of the user that is in force."""
    threads: Annotated[tuple[ThreadState, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )
    """Followed threads: up to 100 with unread replies, then the other ones of the newest 20."""


class Member(_Frame):
    """A member of a channel."""

    name: Name
    role: Role
    presence: Presence
    muted: Flag = False
    """Whether a moderator muted them."""


class Welcome(_Frame):
    """The answer to `hello`; has a `token` only if `hello` claimed a name without one."""

    type: Literal["welcome"] = "welcome"
    id: Id | None = None
    v: Count
    user: Name
    token: Token | None = Field(None, repr=False)
    session: Line
    server: ServerInfo
    limits: Limits
    heartbeat: Seconds
    """Seconds between `heads` frames; the connection is lost after three times that in silence."""
    channels: Annotated[tuple[Membership, ...], Field(max_length=CHANNELS_MAX), FailFast()]
    """Hidden direct channels are left out, and the least recent direct channels beyond a limit;
    an unrequested `joined` frame arrives with their next message."""
    features: Annotated[tuple[Line, ...], Field(max_length=100), FailFast()] = Field(
        default=(), exclude_if=_is_empty
    )
    """Features added to version 1 later; see `chat.protocol.FEATURES`."""
    role: ServerRole = "member"
    invited: Annotated[tuple[ChannelInvitation, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )
    """Open invitations to channels, newest first, up to a limit."""
    ignored: Names = Field(default=(), exclude_if=_is_empty)
    """The users whom the user ignores."""


class Ok(_Frame):
    """The command succeeded; a send is committed to disk."""

    type: Literal["ok"] = "ok"
    id: Id | None = None
    seq: Seq | None = None
    mid: Mid | None = None
    ts: Time | None = None
    cid: Cid | None = None
    duplicate: Flag = False
    replaced: "BanInfo | None" = None
    """In the answer to `ban`: the ban from the server that the new one replaces."""


class ErrorFrame(_Frame):
    """The command is refused or the frame is invalid; the connection stays open."""

    type: Literal["error"] = "error"
    id: Id | None = None
    code: Line
    message: Passage
    retryable: bool
    retry_after: Seconds | None = None
    """Seconds to wait before a retry."""
    field: Line | None = None
    channel: Channel | None = None
    """In an error without `id`: the channel that `hello` could not resume."""


class Joined(_Frame):
    """The session is subscribed to the channel; unrequested on a direct channel's first message.

    With `recovered`, `items` continue the given position without gaps; otherwise they are the
    newest page. With `complete: false`, the client must read more with `history after`; until an
    answer has `complete: true`, the session receives no events of this channel, only `heads`.

    Created in `Subscriptions._join` (`server/subscriptions.py`), and for built-in channels in
    `server/handlers/builtin.py`.
    """

    type: Literal["joined"] = "joined"
    id: Id | None = None
    channel: Channel
    epoch: Epoch
    head: Position
    topic: Topic
    role: Role
    read: Position
    unread: Count
    mentions: Count
    pinned: Pinned = 0
    muted: Flag = False
    level: Level = USUAL_LEVEL
    pins: Annotated[tuple[Seq, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )
    """The pinned messages."""
    settings: ChannelSettings = Field(default=ChannelSettings(), exclude_if=_is_usual)
    mute: Mute | None = None
    """A mute of the user that is in force."""
    rights: Annotated[tuple[Word, ...], FailFast()] = Field(
        default=(), max_length=100, exclude_if=_is_empty
    )
    """What the user may do now; see `chat.rights.Right`."""
    threads: Annotated[tuple[ThreadState, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )
    """Followed threads: up to 100 with unread replies, then the other ones of the newest 20."""
    members: Annotated[tuple[Member, ...], Field(max_length=LIST_MAX), FailFast()]
    member_count: Count
    recovered: bool
    items: Items
    complete: bool


class Page(_Frame):
    """A page of a log, in the order of `seq`.

    `complete` means that the log has no more in this direction. With `history after`, it means that
    the page reaches `head`; live events follow from `head` + 1 on.
    """

    type: Literal["page"] = "page"
    id: Id | None = None
    channel: Channel
    epoch: Epoch
    items: Items
    complete: bool
    head: Position


class Hit(_Frame):
    """A matching message and a snippet of its text.

    `marks` are the matching ranges in the snippet, in characters: start, end, start, end, …
    """

    channel: Channel
    seq: Seq
    ts: Time
    author: Name
    me: Flag = False
    snippet: Passage
    marks: Annotated[tuple[Count, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )


class Results(_Frame):
    """The answer to `search`, newest first; unless `complete`, `cursor` requests the next page.

    A page of a long search may hold fewer hits than requested, even none.
    """

    type: Literal["results"] = "results"
    id: Id | None = None
    hits: Annotated[tuple[Hit, ...], Field(max_length=LIST_MAX), FailFast()]
    complete: bool
    cursor: (
        Annotated[dict[Channel, Seq], Field(max_length=CHANNELS_MAX), at_most(CHANNELS_MAX)] | None
    ) = None


class ChannelListing(_Frame):
    """A public channel in the directory."""

    channel: Channel
    topic: Topic
    members: Count
    archived: Flag = False


class ChannelList(_Frame):
    """The answer to `channels`; `cursor` requests the next page."""

    type: Literal["channels"] = "channels"
    id: Id | None = None
    channels: Annotated[tuple[ChannelListing, ...], Field(max_length=CHANNELS_MAX), FailFast()]
    cursor: Line | None = None


class Members(_Frame):
    """The answer to `who`; `cursor` requests the next page."""

    type: Literal["members"] = "members"
    id: Id | None = None
    channel: Channel
    members: Annotated[tuple[Member, ...], Field(max_length=LIST_MAX), FailFast()]
    cursor: Line | None = None


class Tick(_Frame):
    """A line of `#counter` or `#echo`; it has no seq and is not stored."""

    type: Literal["tick"] = "tick"
    channel: Channel
    text: Text


class PresenceFrame(_Frame):
    """Presence in a channel: all members who are not offline (`snapshot`), or the changes."""

    type: Literal["presence"] = "presence"
    channel: Channel
    version: Count
    snapshot: Flag = False
    users: Annotated[dict[Name, Presence], Field(max_length=LIST_MAX), at_most(LIST_MAX)]
    roles: Annotated[dict[Name, Role], at_most(LIST_MAX)] = Field(
        default={}, max_length=LIST_MAX, exclude_if=_is_empty
    )
    """Roles in `#general` that changed with the roles on the server, which are no events."""


class TypingFrame(_Frame):
    """The users typing in the channel (a few at most); may be empty."""

    type: Literal["typing"] = "typing"
    channel: Channel
    version: Count
    users: Annotated[tuple[Name, ...], Field(max_length=LIST_MAX), FailFast()]


class Read(_Frame):
    """The user's read marker, after any of their devices moved it; `version` is its seq.

    The counts are as of `head`; later events may arrive before or after this frame. With `thread`,
    it is the marker of this thread, and `following` says whether the user follows it.
    """

    type: Literal["read"] = "read"
    channel: Channel
    version: Count
    seq: Position
    unread: Count
    mentions: Count
    head: Position = 0
    thread: Seq | None = None
    following: Flag = False


class Preferences(_Frame):
    """All preferences of the user for a channel, after any of their devices changed them.

    With `hidden`, the subscription ends; a `joined` frame arrives with the next message.
    """

    type: Literal["preferences"] = "preferences"
    channel: Channel
    pinned: Pinned = 0
    muted: Flag = False
    level: Level = USUAL_LEVEL
    hidden: Flag = False


class Removed(_Frame):
    """The channel is no longer in the user's list.

    It also follows `welcome` for a channel in `resume`, if the membership ended meanwhile.
    A direct channel with an erased user gets another name; a `joined` for that follows. Otherwise,
    `act` says why: `kick`, `ban`, `deleted`, or `erased`; `by` is the acting user.
    """

    type: Literal["removed"] = "removed"
    channel: Channel
    act: Word | None = None
    by: Name | None = None
    until: Time | None = None
    reason: Line | None = None


class Invited(_Frame):
    """An invitation to a channel; with `remove`, it was accepted, declined, or withdrawn."""

    type: Literal["invited"] = "invited"
    invitation: ChannelInvitation
    remove: Flag = False


class Ignored(_Frame):
    """All users whom the user ignores, after any of their devices changed them."""

    type: Literal["ignored"] = "ignored"
    names: Names


class Heads(_Frame):
    """The last seq of the user's channels, with every heartbeat; reveals a lost last event."""

    type: Literal["heads"] = "heads"
    heads: Annotated[dict[Channel, Position], Field(max_length=CHANNELS_MAX), at_most(CHANNELS_MAX)]


class Device(_Frame):
    """A device of a user: the holder of a token."""

    id: Count
    label: Line
    created: Time
    seen: Time | None = None
    """The last sign-in."""
    current: Flag = False
    """Whether it is the device of this session."""


class Devices(_Frame):
    """The answer to `devices`, newest first."""

    type: Literal["devices"] = "devices"
    id: Id | None = None
    devices: Annotated[tuple[Device, ...], Field(max_length=LIST_MAX), FailFast()]


class LinkCode(_Frame):
    """The answer to `link`."""

    type: Literal["link"] = "link"
    id: Id | None = None
    code: Line = Field(repr=False)
    expires: Time


class AccountInfo(_Frame):
    """An account, as others see it; `disabled` and `banned` are set only for admins."""

    name: Name
    role: ServerRole = "member"
    created: Time
    seen: Time | None = None
    """The last sign-in."""
    disabled: Flag = False
    banned: Flag = False
    has_password: Flag = False
    """Set only for the user's own account."""


class Account(_Frame):
    """The answer to `account`; unrequested, the user's own account after a change.

    `device` is a device that was added to the account. `password_changed` means that another
    device or the operator set, changed or removed the password.
    """

    type: Literal["account"] = "account"
    id: Id | None = None
    account: AccountInfo
    device: Device | None = None
    password_changed: Flag = False


class Users(_Frame):
    """The answer to `users`; `cursor` requests the next page."""

    type: Literal["users"] = "users"
    id: Id | None = None
    users: Annotated[tuple[AccountInfo, ...], Field(max_length=LIST_MAX), FailFast()]
    cursor: Line | None = None


class Invitation(_Frame):
    """An invitation to the server; its code is not stored."""

    id: Count
    created: Time
    expires: Time
    uses: Count
    used: Count
    role: ServerRole = "member"
    channels: Annotated[tuple[Channel, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )
    by: Name | None = None
    """Its creator; None: the operator."""
    revoked: Flag = False


class InvitationFrame(_Frame):
    """The answer to `invitation`: a new invitation and its code."""

    type: Literal["invitation"] = "invitation"
    id: Id | None = None
    code: Line = Field(repr=False)
    invitation: Invitation


class Invitations(_Frame):
    """The answer to `invitations`, newest first; `cursor` requests the next page."""

    type: Literal["invitations"] = "invitations"
    id: Id | None = None
    invitations: Annotated[tuple[Invitation, ...], Field(max_length=LIST_MAX), FailFast()]
    cursor: Count | None = None


class BanInfo(_Frame):
    """A ban of an account (`name`) or a network (`address`)."""

    id: Count
    name: Name | None = None
    address: Line | None = None
    created: Time
    until: Time | None = None
    reason: Line = ""
    by: Name | None = None
    """The user who set it; None: the operator."""


class Bans(_Frame):
    """The answer to `bans`, newest first; `cursor` requests the next page.

    With `channel`, these are bans from the channel.
    """

    type: Literal["bans"] = "bans"
    id: Id | None = None
    channel: Channel | None = None
    bans: Annotated[tuple[BanInfo, ...], Field(max_length=LIST_MAX), FailFast()]
    cursor: Count | None = None


class AuditEntry(_Frame):
    """An entry of the audit log.

    `by` is the acting user (None: the operator, or the server), `user` the account concerned.
    `details` holds what else the act concerns, such as `role`, `label` or `until`.
    """

    seq: Seq
    ts: Time
    act: Act
    by: Name | None = None
    user: Name | None = None
    address: Line | None = None
    details: Annotated[dict[Line, Line], Field(max_length=100), at_most(100)] = Field(
        default={}, exclude_if=_is_empty
    )


class Audit(_Frame):
    """The answer to `audit`, newest first; `complete`: nothing is older."""

    type: Literal["audit"] = "audit"
    id: Id | None = None
    entries: Annotated[tuple[AuditEntry, ...], Field(max_length=LIST_MAX), FailFast()]
    complete: bool


class LimitsFrame(_Frame):
    """The limits of the server have changed: they replace those of `welcome`."""

    type: Literal["limits"] = "limits"
    limits: Limits


class Bye(_Frame):
    """The server is shutting down; reconnect after a random delay of up to `reconnect` seconds."""

    type: Literal["bye"] = "bye"
    reason: Line
    reconnect: Seconds


ServerFrame = Annotated[
    Welcome
    | Ok
    | ErrorFrame
    | Event
    | Joined
    | Page
    | Results
    | ChannelList
    | Members
    | Tick
    | PresenceFrame
    | TypingFrame
    | Read
    | Preferences
    | Removed
    | Invited
    | Ignored
    | Heads
    | Devices
    | LinkCode
    | Account
    | Users
    | InvitationFrame
    | Invitations
    | Bans
    | Audit
    | LimitsFrame
    | Bye,
    Field(discriminator="type"),
]
"""Any frame of a server."""
