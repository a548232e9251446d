"""Commands: the frames of a client. One class per `type`, and a union of all.

Every command may have an `id`, which the answer repeats. Defaults keep commands short enough to
type by hand.
"""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

from typing import Annotated, ClassVar, Literal, Protocol, Self, TypeAlias, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from chat.protocol.frames import (
    Account,
    Audit,
    Bans,
    ChannelList,
    Devices,
    InvitationFrame,
    Invitations,
    Joined,
    LinkCode,
    Members,
    Ok,
    Page,
    Results,
    Users,
    Welcome,
)
from chat.protocol.values import (
    Channel,
    Cid,
    Code,
    Count,
    Emoji,
    Epoch,
    Flag,
    Id,
    Limits,
    Line,
    Mid,
    Moment,
    Name,
    Place,
    Position,
    Posting,
    Reserved,
    Retention,
    Secret,
    Seq,
    Status,
    Text,
    Token,
    Topic,
    Wire,
)

__all__ = [
    "AccountCommand",
    "AnsweredBy",
    "Archive",
    "Ban",
    "BaseCommand",
    "ChangeChannel",
    "Channels",
    "Command",
    "Create",
    "CreateInvitation",
    "CreateLink",
    "Decline",
    "Delete",
    "DeleteChannel",
    "Edit",
    "Follow",
    "Hello",
    "History",
    "Ignore",
    "Invite",
    "Join",
    "Kick",
    "Leave",
    "ListBans",
    "ListDevices",
    "ListInvitations",
    "ListUsers",
    "Mark",
    "MuteUser",
    "Pin",
    "Ping",
    "Prefer",
    "React",
    "ReadAudit",
    "ResumeFrom",
    "Revoke",
    "Search",
    "Send",
    "SetPassword",
    "SetRole",
    "SetStatus",
    "SetTopic",
    "Typing",
    "Unban",
    "Unignore",
    "Uninvite",
    "Unmute",
    "Who",
    "positions_max",
]


class ResumeFrom(Wire):
    """A client's position in a log: all events up to `after` are applied.

    `mid` is the id of the event at `after`: it detects a database that was restored by hand.
    """

    epoch: Epoch
    after: Position
    mid: Mid | None = None


POSITIONS_MAX = 500
"""Positions in one `hello` that every server accepts."""


def positions_max(limits: Limits) -> int:
    """Return the most channels that `welcome` lists and that a command may name.

    These are `limits.channels` joined channels and the same number of direct channels.
    """
    return max(2 * limits.channels, POSITIONS_MAX)


def _few(value: object, info: ValidationInfo) -> object:
    """Refuse too many positions before validating them."""
    limits: Limits | None = info.context
    most = positions_max(limits) if limits else 0
    if limits and isinstance(value, dict) and len(value) > most:
        raise PydanticCustomError(
            "too_long",
            "names {count} channels; at most {most} are allowed",
            {"count": f"{len(value):,}", "most": f"{most:,}"},
        )
    return value


Positions = Annotated[dict[Channel, ResumeFrom], BeforeValidator(_few)]
"""Positions by channel; at most as many as `welcome` lists."""


Numbers = Annotated[dict[Channel, Seq], BeforeValidator(_few)]
"""Seqs by channel; at most as many as `welcome` lists."""


_T = TypeVar("_T")
ClassOf: TypeAlias = type[_T]
"""`type[...]`, for classes with a field named `type`."""
Answer = TypeVar("Answer", covariant=True)


class AnsweredBy(Protocol[Answer]):
    """A command whose answer, unless it is refused, is a frame of type `Answer`."""

    @property
    def answer(self) -> type[Answer]:
        """The class of the answer."""


class BaseCommand(Wire):
    """Fields of every command."""

    id: Id | None = None


class _OkCommand(BaseCommand):
    answer: ClassVar[ClassOf[Ok]] = Ok


class Hello(BaseCommand):
    """Sign in; the first command, within 10 seconds. Claims `name` if it is free.

    A valid `token` signs in, and `invite`, `link` and `password` are then ignored, so a `hello`
    whose answer was lost can be repeated. Otherwise the first of these that is present must be
    valid, and `token` becomes the token of a new device.
    """

    answer: ClassVar[ClassOf[Welcome]] = Welcome
    type: Literal["hello"] = "hello"
    v: int
    name: Name
    token: Token | None = Field(None, repr=False)
    client: Line | None = None
    resume: Positions | None = None
    """Positions in joined channels; a `joined` for each follows `welcome`."""
    invite: Code | None = Field(None, repr=False)
    """An invitation code, to claim `name`; using it again with the same name has no effect."""
    link: Code | None = Field(None, repr=False)
    """A code from `link`, to sign in on another device as `name`."""
    password: Secret | None = Field(None, repr=False)
    device: Line | None = None
    """A label for this device, shown in the list of devices."""


class Join(BaseCommand):
    """Join a channel, create it if it does not exist, and follow its log from `resume` on."""

    answer: ClassVar[ClassOf[Joined]] = Joined
    type: Literal["join"] = "join"
    channel: Channel
    resume: ResumeFrom | None = None


class Create(BaseCommand):
    """Create a channel, as its owner; `name_unavailable` if the name is taken or reserved."""

    answer: ClassVar[ClassOf[Joined]] = Joined
    type: Literal["create"] = "create"
    channel: Channel
    private: Flag = False
    topic: Topic = ""


class Leave(_OkCommand):
    """Leave a channel."""

    type: Literal["leave"] = "leave"
    channel: Channel


class Send(_OkCommand):
    """Append a message; with `me` it is an action (`/me waves`)."""

    type: Literal["send"] = "send"
    channel: Channel
    text: Text
    cid: Cid | None = None
    reply_to: Seq | None = None
    me: Flag = False
    thread_only: Flag = False
    """The reply appears only in its thread; needs `reply_to`."""


class Edit(_OkCommand):
    """Replace the text of the user's own message `seq`."""

    type: Literal["edit"] = "edit"
    channel: Channel
    seq: Seq
    text: Text
    cid: Cid | None = None


class Delete(_OkCommand):
    """Delete a message; allowed for its author, and for moderators of the channel."""

    type: Literal["delete"] = "delete"
    channel: Channel
    seq: Seq
    cid: Cid | None = None


class React(_OkCommand):
    """Add a reaction to message `seq`, or `remove` it."""

    type: Literal["react"] = "react"
    channel: Channel
    seq: Seq
    emoji: Emoji
    remove: Flag = False
    cid: Cid | None = None


class Pin(_OkCommand):
    """Pin message `seq` in its channel for everyone, or `remove` its pin."""

    type: Literal["pin"] = "pin"
    channel: Channel
    seq: Seq
    remove: Flag = False
    cid: Cid | None = None


class History(BaseCommand):
    """Read a page: the newest, or what lies `before`, `after` or `around` a seq.

    `after` reads events of every kind without gaps, for following. The others read the
    lines of a timeline: edits, deletions, reactions and pins are folded into their messages.

    `thread`, the seq of any message in a thread, limits the page to the root of the thread and all
    direct and indirect replies; `after` then reads these lines forward. `pins` limits the page to
    pinned messages: the newest ones, or those `before` a seq.
    """

    answer: ClassVar[ClassOf[Page]] = Page
    type: Literal["history"] = "history"
    channel: Channel
    before: Seq | None = None
    after: Position | None = None
    around: Seq | None = None
    thread: Seq | None = None
    pins: Flag = False
    limit: int = Field(50, ge=1, le=1_000)

    @model_validator(mode="after")
    def _one_anchor(self) -> Self:
        if sum(anchor is not None for anchor in (self.before, self.after, self.around)) > 1:
            raise ValueError("use only one of before, after and around")
        if self.pins and {self.after, self.around, self.thread} != {None}:
            raise ValueError("pins can only be combined with before")
        return self


class Search(BaseCommand):
    """Find messages in one channel or in all of the user's channels, newest first.

    `query` consists of words, "phrases in quotes", and prefix* with at least three letters; a
    message must match all of them. Case, accents, points and compatibility forms are ignored, and
    each Chinese, Japanese or Korean character is a word. `before` and `after` (inclusive) are
    milliseconds since 1970 UTC. Without a word, `from` or `has` is needed. `cursor` comes from
    the previous page.
    """

    answer: ClassVar[ClassOf[Results]] = Results
    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    type: Literal["search"] = "search"
    query: Line = ""
    channel: Channel | None = None
    author: Name | None = Field(None, alias="from")
    before: Moment | None = None
    after: Moment | None = None
    has: Literal["link"] | None = None
    limit: int = Field(20, ge=1, le=1_000)
    cursor: Numbers | None = None


class Mark(_OkCommand):
    """Move the user's read marker forward to `seq`, or the one of a `thread` (its root)."""

    type: Literal["mark"] = "mark"
    channel: Channel
    seq: Seq
    thread: Seq | None = None


class Follow(_OkCommand):
    """Follow a `thread` (the seq of any message in it), or with `remove` no longer."""

    type: Literal["follow"] = "follow"
    channel: Channel
    thread: Seq
    remove: Flag = False


class Prefer(_OkCommand):
    """Set the user's preferences for a channel; omitted fields remain unchanged.

    `pinned` is the position among the user's starred channels: smaller numbers come first, equal
    ones by name; 0 removes the star. `muted` limits notifications to mentions. `level` is the
    notification level. `hidden` removes a direct channel from the user's list until its next
    message; `join` restores it.
    """

    type: Literal["prefer"] = "prefer"
    channel: Channel
    pinned: Place | None = None
    muted: bool | None = None
    level: Literal["all", "mentions", "none"] | None = None
    hidden: bool | None = None


class Typing(_OkCommand):
    """Show the user as typing; it expires by itself."""

    type: Literal["typing"] = "typing"
    channel: Channel
    state: Literal["start", "stop"] = "start"


class SetStatus(_OkCommand):
    """Set the user's presence: online, away or busy."""

    type: Literal["status"] = "status"
    status: Status = "online"


class Channels(BaseCommand):
    """List a page of the public channels by name, after `cursor`."""

    answer: ClassVar[ClassOf[ChannelList]] = ChannelList
    type: Literal["channels"] = "channels"
    cursor: Line | None = None


class Who(BaseCommand):
    """List a page of a channel's members by name, after `cursor`."""

    answer: ClassVar[ClassOf[Members]] = Members
    type: Literal["who"] = "who"
    channel: Channel
    cursor: Line | None = None


class SetTopic(_OkCommand):
    """Set the channel's topic; an empty one removes it."""

    type: Literal["topic"] = "topic"
    channel: Channel
    topic: Topic


class ListDevices(BaseCommand):
    """List the devices of the user."""

    answer: ClassVar[ClassOf[Devices]] = Devices
    type: Literal["devices"] = "devices"


class Revoke(_OkCommand):
    """Revoke a device of the user, whose sessions end, or, as an admin, an invitation."""

    type: Literal["revoke"] = "revoke"
    device: Count | None = None
    invitation: Count | None = None

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        if (self.device is None) == (self.invitation is None):
            raise ValueError("use either device or invitation")
        return self


class CreateLink(BaseCommand):
    """Create a one-time code with which another device signs in as the user.

    It replaces the previous code, expires after 10 minutes, and is void after 5 wrong attempts.
    """

    answer: ClassVar[ClassOf[LinkCode]] = LinkCode
    type: Literal["link"] = "link"


class SetPassword(_OkCommand):
    """Set or change the user's password, or remove it if `password` is absent.

    `current` is required if the user has a password.
    """

    type: Literal["password"] = "password"
    password: Secret | None = Field(None, repr=False)
    current: Secret | None = Field(None, repr=False)


class AccountCommand(BaseCommand):
    """Read the account `name`, or change its `role` or `disabled`, as an admin."""

    answer: ClassVar[ClassOf[Account]] = Account
    type: Literal["account"] = "account"
    name: Name
    role: Literal["admin", "member", "bot"] | None = None
    disabled: bool | None = None


class ListUsers(BaseCommand):
    """List a page of all accounts by name, after `cursor`, as an admin."""

    answer: ClassVar[ClassOf[Users]] = Users
    type: Literal["users"] = "users"
    cursor: Line | None = None


class CreateInvitation(BaseCommand):
    """Create an invitation to the server, as an admin; the answer has its code, once.

    New users join `channels`, which must be public, on arrival.
    """

    answer: ClassVar[ClassOf[InvitationFrame]] = InvitationFrame
    type: Literal["invitation"] = "invitation"
    uses: int = Field(1, ge=1, le=10_000)
    expires: int = Field(604_800, ge=60, le=31_536_000)
    """Seconds until it expires; the default is 7 days."""
    role: Literal["admin", "member", "bot"] = "member"
    channels: Annotated[tuple[Channel, ...], Field(max_length=50)] = ()


class ListInvitations(BaseCommand):
    """List a page of the invitations, newest first, before `cursor`, as an admin."""

    answer: ClassVar[ClassOf[Invitations]] = Invitations
    type: Literal["invitations"] = "invitations"
    cursor: Count | None = None


class Ban(_OkCommand):
    """Ban a user from `channel` as a moderator, or from the server as an admin.

    A ban from the server is for an account, by `name`, or for an `address` or network. A ban of
    something that is banned replaces the previous one. One that covers loopback, a trusted proxy,
    or the admin's own account or address needs `force`.
    """

    type: Literal["ban"] = "ban"
    channel: Channel | None = None
    """None: the server."""
    name: Name | None = None
    address: Line | None = None
    """An IP address, or a network such as `192.0.2.0/24`."""
    until: Moment | None = None
    """None: until lifted."""
    reason: Line = ""
    force: Flag = False

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        _check_one_object(self.channel, self.name, self.address)
        return self


class Unban(_OkCommand):
    """Lift a ban from `channel` as a moderator, or from the server as an admin."""

    type: Literal["unban"] = "unban"
    channel: Channel | None = None
    name: Name | None = None
    address: Line | None = None

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        _check_one_object(self.channel, self.name, self.address)
        return self


def _check_one_object(channel: str | None, name: str | None, address: str | None) -> None:
    if (name is None) == (address is None):
        raise ValueError("use either name or address")
    if channel is not None and name is None:
        raise ValueError("a ban from a channel needs a name")


class ListBans(BaseCommand):
    """List the bans in force from `channel`, as a moderator, or from the server, as an admin.

    A page, newest first, before `cursor`.
    """

    answer: ClassVar[ClassOf[Bans]] = Bans
    type: Literal["bans"] = "bans"
    channel: Channel | None = None
    cursor: Count | None = None


class Kick(_OkCommand):
    """End the membership of `name` in a channel, as a moderator; they may join again."""

    type: Literal["kick"] = "kick"
    channel: Channel
    name: Name
    reason: Line = ""


class MuteUser(_OkCommand):
    """Let `name` read but not send in a channel, as a moderator."""

    type: Literal["mute"] = "mute"
    channel: Channel
    name: Name
    until: Moment | None = None
    """None: until lifted."""
    reason: Line = ""


class Unmute(_OkCommand):
    """Lift a mute in a channel, as a moderator."""

    type: Literal["unmute"] = "unmute"
    channel: Channel
    name: Name


class SetRole(_OkCommand):
    """Set the role of `name` in a channel, as its owner; `owner` passes the ownership on."""

    type: Literal["role"] = "role"
    channel: Channel
    name: Name
    role: Literal["owner", "moderator", "member"]


class Invite(_OkCommand):
    """Invite `name` to a channel."""

    type: Literal["invite"] = "invite"
    channel: Channel
    name: Name


class Uninvite(_OkCommand):
    """Withdraw an invitation to a channel: one's own, or as a moderator any."""

    type: Literal["uninvite"] = "uninvite"
    channel: Channel
    name: Name


class Decline(_OkCommand):
    """Decline an invitation to a channel."""

    type: Literal["decline"] = "decline"
    channel: Channel


class ChangeChannel(_OkCommand):
    """Change settings of a channel, as its owner; omitted fields remain unchanged.

    `private` can only be set, not removed. `retention` takes effect a day later.
    """

    type: Literal["channel"] = "channel"
    channel: Channel
    posting: Posting | None = None
    invites: Reserved | None = None
    topic: Reserved | None = None
    pins: Reserved | None = None
    private: bool | None = None
    retention: Retention | None = None


class Archive(_OkCommand):
    """Make a channel read-only, as its owner; with `remove`, it takes messages again."""

    type: Literal["archive"] = "archive"
    channel: Channel
    remove: Flag = False


class DeleteChannel(_OkCommand):
    """Delete a channel with its log for everyone, as its owner."""

    type: Literal["delete_channel"] = "delete_channel"
    channel: Channel


class Ignore(_OkCommand):
    """Ignore a user: no notifications, and their direct messages open nothing."""

    type: Literal["ignore"] = "ignore"
    name: Name


class Unignore(_OkCommand):
    """Stop ignoring a user."""

    type: Literal["unignore"] = "unignore"
    name: Name


class ReadAudit(BaseCommand):
    """Read a page of the audit log, newest first, before `before`, as an admin."""

    answer: ClassVar[ClassOf[Audit]] = Audit
    type: Literal["audit"] = "audit"
    before: Seq | None = None
    limit: int = Field(50, ge=1, le=1_000)


class Ping(_OkCommand):
    """Ask for an `ok`."""

    type: Literal["ping"] = "ping"


Command = Annotated[
    Hello
    | Join
    | Create
    | Leave
    | Send
    | Edit
    | Delete
    | React
    | Pin
    | History
    | Search
    | Mark
    | Follow
    | Prefer
    | Typing
    | SetStatus
    | Channels
    | Who
    | SetTopic
    | ListDevices
    | Revoke
    | CreateLink
    | SetPassword
    | AccountCommand
    | ListUsers
    | CreateInvitation
    | ListInvitations
    | Ban
    | Unban
    | ListBans
    | Kick
    | MuteUser
    | Unmute
    | SetRole
    | Invite
    | Uninvite
    | Decline
    | ChangeChannel
    | Archive
    | DeleteChannel
    | Ignore
    | Unignore
    | ReadAudit
    | Ping,
    Field(discriminator="type"),
]
"""Any command."""
