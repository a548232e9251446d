"""Updates of one core folded into what the widgets around the timeline show.

No widget, no core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from heapq import nlargest
from time import monotonic

from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Delivery,
    Link,
    MembersChanged,
    Message,
    TimelineChanged,
    TypingChanged,
    Update,
    is_for,
    listing_order,
)
from chat.text import is_direct

__all__ = ["ConversationState", "OpenThread", "Recent", "title_of", "why_refused"]

_RECENT_MAX = 400
_NUMBERED = 200
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


class Recent:
    """The newest messages of one channel: enough to answer, edit and address them."""

    def __init__(self) -> None:
        self._sent: dict[int, Message] = {}
        self._unsent: dict[str, Message] = {}
        self._events: dict[int, Message] = {}

    def apply(self, change: TimelineChanged) -> None:
        """Take in what changed."""
        if change.reset:
            self._sent.clear()
            self._unsent.clear()
            self._events.clear()
        for cid in change.removed:
            self._unsent.pop(cid, None)
        for message in change.upserts:
            if message.kind != "message":
                if message.seq is not None:
                    self._events[message.seq] = message
                continue
            if message.seq is None:
                if message.cid is not None:
                    self._unsent[message.cid] = message
                continue
            if message.cid is not None:
                self._unsent.pop(message.cid, None)
            self._sent[message.seq] = message
        self._sent, self._events = _newest(self._sent), _newest(self._events)

    def find(self, seq: int) -> Message | None:
        """Return the message of that number, if it is here."""
        return self._sent.get(seq)

    def find_event(self, seq: int) -> Message | None:
        """Return the line of that number that is no message, such as a join, if it is here."""
        return self._events.get(seq)

    def latest(self, author: str | None = None) -> Message | None:
        """Return the newest message that is not deleted, of `author` if given."""
        for seq in sorted(self._sent, reverse=True):
            message = self._sent[seq]
            if not message.deleted and author in (None, message.author):
                return message
        return None

    def numbered(self) -> tuple[tuple[int, str], ...]:
        """Return the newest messages by number, the newest first: who said what."""
        newest = (self._sent[seq] for seq in nlargest(_NUMBERED, self._sent))
        return tuple(
            (each.seq, f"{each.author}: {each.text}")
            for each in newest
            if each.seq is not None and not each.deleted
        )

    def failed(self) -> list[Message]:
        """Return one's own messages that the server refused, oldest first."""
        return [each for each in self._unsent.values() if each.delivery is Delivery.FAILED]

    def mentions(self, user: str) -> list[int]:
        """Return the numbers of what mentions `user`, in order."""
        return [seq for seq in sorted(self._sent) if is_for(self._sent[seq], user)]

    def speakers(self) -> list[str]:
        """Return who spoke, the last one first."""
        newest = (self._sent[seq].author for seq in sorted(self._sent, reverse=True))
        return list(dict.fromkeys(newest))


@dataclass(slots=True)
class OpenThread:
    """The thread that is shown: asked for by one of its messages, `root` is the first of them."""

    channel: str
    asked: int
    root: int
    recent: Recent = field(default_factory=Recent)


def _newest(lines: dict[int, Message]) -> dict[int, Message]:
    """Return the newest lines, if there are too many of them."""
    if len(lines) <= 2 * _RECENT_MAX:
        return lines
    return {seq: lines[seq] for seq in sorted(lines)[-_RECENT_MAX:]}


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
        self._recent: dict[str, Recent] = {}
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
        """Take in one update."""
        if isinstance(update, ConnectionChanged):
            self._connect(update)
        elif isinstance(update, ChannelsChanged):
            self._list(update.channels)
        elif isinstance(update, ChannelChanged):
            self._list_one(update.info)
        elif isinstance(update, ChannelRemoved):
            self.channels.pop(update.channel, None)
        elif isinstance(update, TimelineChanged):
            self.recent(update.channel).apply(update)
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

    def recent(self, channel: str, thread: int | None = None) -> Recent:
        """Return the newest messages of a channel, or those of its thread that is open."""
        if thread is None:
            return self._recent.setdefault(channel, Recent())
        shown = self.thread
        is_shown = shown is not None and (shown.channel, shown.root) == (channel, thread)
        return shown.recent if shown is not None and is_shown else Recent()

    def find(self, channel: str, seq: int) -> Message | None:
        """Return the message of that number, if it is in the channel or the open thread here."""
        thread = self.thread
        found = self.recent(channel).find(seq)
        return found or (thread.recent.find(seq) if thread is not None else None)

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
        found: dict[str, None] = dict.fromkeys(self.recent(here).speakers())
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
