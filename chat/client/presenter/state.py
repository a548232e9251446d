"""The state of one conversation, as the widgets around the timeline show it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic

from chat.client.model.membership import Invitation, now_ms
from chat.client.model.sign_in import SignInWay
from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    IgnoredChanged,
    InvitationsChanged,
    Link,
    MembersChanged,
    MembershipEnded,
    Message,
    TypingChanged,
    Update,
    listing_order,
)
from chat.client.presenter.log import Log
from chat.rights import Right
from chat.text import fold, is_direct

__all__ = [
    "ConversationState",
    "OpenThread",
    "kinds_of",
    "title_of",
    "why_not_connected",
    "why_refused",
]

_SPEAKING = 400
"""Number of newest messages whose authors come first in name completion."""
_LOOKED_UP_MAX = 2_000


def title_of(channel: ChannelInfo) -> str:
    """Return a channel's displayed name: `#tea`, or `@bob` for a direct channel."""
    return f"@{', '.join(channel.direct)}" if channel.direct else channel.name


def kinds_of(channel: ChannelInfo) -> tuple[str, ...]:
    """Return what is particular about a channel: `private`, `archived`, `announcements`."""
    settings = channel.settings
    found = {
        "private": settings.private,
        "archived": settings.archived,
        "announcements": settings.posting == "moderators",
    }
    return tuple(kind for kind, applies in found.items() if applies)


_ADVICE = {
    SignInWay.NAME: "Use /name NAME to sign in with another name.",
    SignInWay.INVITATION: "Use /signin invitation if you have an invitation.",
    SignInWay.LINK: (
        "If {name} is yours, use /link on your other device and /signin link here, "
        "or /signin password if you set one."
    ),
}


_OPERATORS_LINK = "Use /signin link if you have a link code from the operator."
"""The advice for a name that has no other device, and so no password either."""


def why_refused(connection: ConnectionChanged) -> str:
    """Return why the sign-in was refused, and which commands help."""
    reason, ways = connection.reason, connection.ways
    advice = [_ADVICE[way].format(name=connection.user) for way in ways if way in _ADVICE]
    if SignInWay.LINK in ways and SignInWay.PASSWORD not in ways:
        advice[ways.index(SignInWay.LINK)] = _OPERATORS_LINK
    return " ".join((f"{reason[:1].upper()}{reason[1:]}.", *advice))


def why_not_connected(connection: ConnectionChanged) -> str:
    """Return why there is no connection, and which commands help if the server has refused."""
    if connection.ways:
        return why_refused(connection)
    detail = connection.detail
    said = f"Not connected: {detail}" + ("" if detail.endswith((".", "?", "!")) else ".")
    if connection.link is not Link.REFUSED:
        return said
    if connection.retry_in is not None:
        return f"{said} Reconnecting when the ban ends."
    return f"{said} Use /reconnect to try again."


@dataclass(slots=True)
class OpenThread:
    """The open thread: `asked` is the message it was opened by, `root` its first message."""

    channel: str
    asked: int
    root: int
    log: Log = field(default_factory=Log)


class ConversationState:
    """The state of a conversation; `current` is the shown channel."""

    def __init__(
        self,
        user: str = "",
        *,
        shows_typing: bool = True,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self.connection = ConnectionChanged(Link.CONNECTING)
        self.connection_problem: ConnectionChanged | None = None
        """Why the connection failed; it stays during the next attempt, unless it was a refusal."""
        self._clock = clock
        self._retry_at = 0.0
        self.user = user
        self.channels: dict[str, ChannelInfo] = {}
        """The listed channels in sidebar order."""
        self.current: str | None = None
        self.previous: str | None = None
        self.thread: OpenThread | None = None
        self.members: dict[str, MembersChanged] = {}
        self._shows_typing = shows_typing
        self._typing: dict[str, tuple[str, ...]] = {}
        self._logs: dict[str, Log] = {}
        self.invitations: dict[str, Invitation] = {}
        """The open invitations to channels, newest first."""
        self.ended: dict[str, MembershipEnded] = {}
        """Why the user is no longer in channels that someone removed them from."""
        self.ignored: tuple[str, ...] = ()
        """The users whom the user ignores."""
        self._ignored: frozenset[str] = frozenset()
        self._revealed: set[tuple[str, int]] = set()
        self.folds = 0
        """Number of changes of what `is_folded` returns."""
        self._now = now
        self._looked_up: dict[str, None] = {}

    @property
    def text_limit(self) -> int:
        """The server's limit of characters per message; 0 before it is known."""
        return self.connection.text_limit

    @property
    def is_online(self) -> bool:
        """Whether the server is connected."""
        return self.connection.link is Link.ONLINE

    @property
    def is_admin(self) -> bool:
        """Whether the user is an admin of the server, as far as it is known."""
        return self.connection.has_accounts and self.connection.role == "admin"

    def apply(self, update: Update) -> None:
        """Apply an update of anything but messages; those go to `Log.apply`."""
        if isinstance(update, ConnectionChanged):
            self._connect(update)
        elif isinstance(update, ChannelsChanged):
            self._list(update.channels)
        elif isinstance(update, ChannelChanged):
            self._list_one(update.info)
        elif isinstance(update, ChannelRemoved):
            self.channels.pop(update.channel, None)
        elif isinstance(update, MembersChanged):
            self.members[update.channel] = update
        elif isinstance(update, TypingChanged):
            if self._shows_typing:
                self._typing[update.channel] = update.names
        else:
            self._apply_to_person(update)

    def _apply_to_person(self, update: Update) -> None:
        if isinstance(update, InvitationsChanged):
            self.invitations = {each.channel: each for each in update.invitations}
        elif isinstance(update, IgnoredChanged):
            self.ignored = update.names
            self._ignored = frozenset(map(fold, update.names))
            self.folds += 1
        elif isinstance(update, MembershipEnded):
            self.ended[update.channel] = update

    def _list(self, infos: Iterable[ChannelInfo]) -> None:
        infos = list(infos)
        for info in infos:
            if info.is_member:
                self.ended.pop(info.name, None)
        ordered = sorted(infos, key=lambda info: listing_order(info.name, info.pinned))
        self.channels = {info.name: info for info in ordered}

    def _list_one(self, info: ChannelInfo) -> None:
        before = self.channels.get(info.name)
        self.channels[info.name] = info
        if info.is_member:
            self.ended.pop(info.name, None)
        if before is None or before.pinned != info.pinned:
            self._list(self.channels.values())

    def _connect(self, update: ConnectionChanged) -> None:
        was_refused = self.connection.link is Link.REFUSED
        self.connection = update
        self.user = update.user or self.user
        self._retry_at = self._clock() + (update.retry_in or 0.0)
        if update.link is not Link.ONLINE:
            self._typing.clear()
        if update.link is Link.ONLINE or (update.link is Link.CONNECTING and was_refused):
            self.connection_problem = None
        elif update.link is not Link.CONNECTING and update.detail:
            self.connection_problem = replace(update, detail=why_not_connected(update))

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt to connect."""
        return max(self._retry_at - self._clock(), 0.0)

    def log(self, channel: str, thread: int | None = None) -> Log:
        """Return the log of a channel or of the open thread; empty for other threads."""
        if thread is None:
            return self._logs.setdefault(channel, Log())
        shown = self.thread
        is_shown = shown is not None and (shown.channel, shown.root) == (channel, thread)
        return shown.log if shown is not None and is_shown else Log()

    def trim(self, besides: str | None = None) -> None:
        """Drop old messages of all channels except the shown one."""
        for channel, log in self._logs.items():
            if channel != besides:
                log.trim()

    def find(self, channel: str, seq: int) -> Message | None:
        """Return a message by number, if the channel or the open thread has it loaded."""
        found = self.log(channel).line(seq)
        return found or (self.thread.log.line(seq) if self.thread is not None else None)

    @property
    def info(self) -> ChannelInfo | None:
        """The current channel's entry; None if there is none, or it is not listed yet."""
        return self.channels.get(self.current) if self.current else None

    def may_delete(self, message: Message) -> bool:
        """Whether the server lets the user delete a message: their own, or any as a moderator."""
        rights = self.rights_in(message.channel)
        return ("moderate" if fold(message.author) != fold(self.user) else "leave") in rights

    def rights_in(self, channel: str) -> frozenset[Right]:
        """Return what the user may do in a channel now; a server without rooms knows no mutes."""
        info = self.channels.get(channel)
        if info is None or not info.is_member:
            return frozenset()
        return info.rights(self.now)

    @property
    def rights(self) -> frozenset[Right]:
        """What the user may do in the current channel, if the server knows such rights."""
        return self.rights_in(self.current or "") if self.connection.has_rooms else frozenset()

    @property
    def now(self) -> int:
        """The time of day in milliseconds since 1970."""
        return self._now()

    # Ignored users

    def is_folded(self, message: Message) -> bool:
        """Whether a message is by an ignored user, and the user has not asked to see it."""
        return (
            message.kind == "message"
            and fold(message.author) in self._ignored
            and (message.channel, message.seq) not in self._revealed
        )

    def reveal(self, channel: str, seq: int) -> None:
        """Show a message of an ignored user."""
        self._revealed.add((channel, seq))
        self.folds += 1

    def reveal_run(self, log: Log, seq: int) -> None:
        """Show a message of an ignored user, and those directly before it."""
        index = log.find(seq)
        while index is not None and index >= 0 and self.is_folded(log[index]):
            self.reveal(log[index].channel, log[index].seq or 0)
            index -= 1

    def ignores(self, name: str) -> bool:
        """Whether the user ignores someone."""
        return fold(name) in self._ignored

    def role_of(self, name: str, channel: str) -> str | None:
        """Return the role of a member of a channel; None if they are no member as far as known."""
        members = self.members.get(channel)
        rows = members.members if members is not None else ()
        return next((role for each, role, _ in rows if fold(each) == fold(name)), None)

    @property
    def typing(self) -> tuple[str, ...]:
        """Other users typing in the current channel."""
        names = self._typing.get(self.current or "", ())
        return tuple(name for name in names if name != self.user and not self.ignores(name))

    @property
    def names(self) -> tuple[str, ...]:
        """Names to complete: the latest authors, then members, then other known users."""
        here = self.current or ""
        members = self.members.get(here)
        newest = islice(self.log(here).newest(), _SPEAKING)
        found = dict.fromkeys(message.author for message in newest)
        found.update(dict.fromkeys(name for name, _, _ in members.members) if members else {})
        for info in self.channels.values():
            found.update(dict.fromkeys(info.direct))
        found.update(dict.fromkeys(name for name in self._looked_up if name[0] != "#"))
        found.pop(self.user, None)
        return tuple(found)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Channels to complete: the listed ones, then those found by lookups."""
        others = (name for name in self._looked_up if name[0] == "#")
        return tuple(dict.fromkeys((*self.channels, *others)))

    def take_names(self, names: Iterable[str]) -> None:
        """Add names of users and channels that a lookup found."""
        self._looked_up.update(dict.fromkeys(filter(None, names)))
        while len(self._looked_up) > _LOOKED_UP_MAX:
            del self._looked_up[next(iter(self._looked_up))]

    def move_to(self, channel: str) -> None:
        """Make `channel` the current one."""
        if channel != self.current:
            self.previous, self.current = self.current, channel

    def count_addressed(self) -> int:
        """Return the number of unread mentions and direct messages, also in followed threads."""
        return sum(
            (info.unread if is_direct(info.name) and not info.muted else info.mentions)
            + sum(thread.mentions for thread in info.threads)
            for info in self.channels.values()
        )
