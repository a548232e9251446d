"""Updates of one core folded into what the widgets around the timeline show.

No widget, no core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic

from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Link,
    MembersChanged,
    Message,
    TypingChanged,
    Update,
    listing_order,
)
from chat.client.presenter.log import Log
from chat.text import is_direct

__all__ = ["ConversationState", "OpenThread", "title_of", "why_refused"]

_SPEAKING = 400
"""The newest messages whose authors come first where a name is completed."""
_LOOKED_UP_MAX = 2_000


def title_of(channel: ChannelInfo) -> str:
    """Return how a channel is named on the screen: `#tea`, or `@bob` if it is direct."""
    return f"@{', '.join(channel.direct)}" if channel.direct else channel.name


def why_refused(name: str) -> str:
    """Say that a name belongs to somebody else, and what to do in the running program."""
    return (
        f"The name {name} belongs to another user on this server. Use /name NAME to sign in "
        f"with another one. If {name} is yours, ask the server's operator for a token (chat-server "
        f"token {name}), save it in a file, and start again with --token-file FILE."
    )


@dataclass(slots=True)
class OpenThread:
    """The thread that is shown: asked for by one of its messages, `root` is the first of them."""

    channel: str
    asked: int
    root: int
    log: Log = field(default_factory=Log)


class ConversationState:
    """The state of the screens; `current` is the channel that is shown."""

    def __init__(
        self,
        user: str = "",
        *,
        shows_typing: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.connection = ConnectionChanged(Link.CONNECTING)
        self.trouble: ConnectionChanged | None = None
        """Why there is no connection; it stays while a new attempt is under way."""
        self._clock = clock
        self._retry_at = 0.0
        self.user = user
        self.channels: dict[str, ChannelInfo] = {}
        """The listed channels, in their order."""
        self.current: str | None = None
        self.previous: str | None = None
        self.thread: OpenThread | None = None
        self.members: dict[str, MembersChanged] = {}
        self._shows_typing = shows_typing
        self._typing: dict[str, tuple[str, ...]] = {}
        self._logs: dict[str, Log] = {}
        self._looked_up: dict[str, None] = {}

    @property
    def text_limit(self) -> int:
        """Most characters of a message, as the server told; 0 before it did."""
        return self.connection.text_limit

    @property
    def is_online(self) -> bool:
        """Whether there is a connection."""
        return self.connection.link is Link.ONLINE

    def apply(self, update: Update) -> None:
        """Take in one update, other than of messages: those are for `log` to take."""
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
        elif isinstance(update, TypingChanged) and self._shows_typing:
            self._typing[update.channel] = update.names

    def _list(self, infos: Iterable[ChannelInfo]) -> None:
        ordered = sorted(infos, key=lambda info: listing_order(info.name, info.pinned))
        self.channels = {info.name: info for info in ordered}

    def _list_one(self, info: ChannelInfo) -> None:
        before = self.channels.get(info.name)
        self.channels[info.name] = info
        if before is None or before.pinned != info.pinned:
            self._list(self.channels.values())

    def _connect(self, update: ConnectionChanged) -> None:
        self.connection = update
        self.user = update.user or self.user
        self._retry_at = self._clock() + (update.retry_in or 0.0)
        if update.link is not Link.ONLINE:
            self._typing.clear()
        if update.link is Link.ONLINE:
            self.trouble = None
        elif update.link is not Link.CONNECTING and update.detail:
            detail = why_refused(update.user) if update.is_name_taken else update.detail
            self.trouble = replace(update, detail=detail)

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt to connect."""
        return max(self._retry_at - self._clock(), 0.0)

    def log(self, channel: str, thread: int | None = None) -> Log:
        """Return the messages of a channel, or of its thread if that is the open one."""
        if thread is None:
            return self._logs.setdefault(channel, Log())
        shown = self.thread
        is_shown = shown is not None and (shown.channel, shown.root) == (channel, thread)
        return shown.log if shown is not None and is_shown else Log()

    def trim(self, besides: str | None = None) -> None:
        """Forget old messages of all channels but the one that is on the screen."""
        for channel, log in self._logs.items():
            if channel != besides:
                log.trim()

    def find(self, channel: str, seq: int) -> Message | None:
        """Return the line of that number, if it is loaded in the channel or the open thread."""
        found = self.log(channel).line(seq)
        return found or (self.thread.log.line(seq) if self.thread is not None else None)

    @property
    def info(self) -> ChannelInfo | None:
        """The current channel; None if there is none, or it is not listed yet."""
        return self.channels.get(self.current) if self.current else None

    @property
    def typing(self) -> tuple[str, ...]:
        """Others who type in the current channel."""
        names = self._typing.get(self.current or "", ())
        return tuple(name for name in names if name != self.user)

    @property
    def names(self) -> tuple[str, ...]:
        """People one may mean here: those who spoke last first, then the members, then others."""
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
        """Channels one may mean: one's own first, then those of the directory that were found."""
        others = (name for name in self._looked_up if name[0] == "#")
        return tuple(dict.fromkeys((*self.channels, *others)))

    def take_names(self, names: Iterable[str]) -> None:
        """Keep names of people and channels that the server told when it was asked."""
        self._looked_up.update(dict.fromkeys(filter(None, names)))
        while len(self._looked_up) > _LOOKED_UP_MAX:
            del self._looked_up[next(iter(self._looked_up))]

    def move_to(self, channel: str) -> None:
        """Make `channel` the current one."""
        if channel != self.current:
            self.previous, self.current = self.current, channel

    def to_answer(self) -> int:
        """Return how many messages wait that were meant for this person."""
        return sum(
            info.unread if is_direct(info.name) and not info.muted else info.mentions
            for info in self.channels.values()
        )
