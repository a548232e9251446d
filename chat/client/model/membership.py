"""The user's place in a channel: settings, rights, a mute, followed threads, and invitations.

Rights follow from the role, the settings and the mute by `chat.rights`, as on the server. A mute
ends by itself: rights depend on the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chat.rights import DEFAULT, DIRECT, ChannelSettings, Right, rights_of, standing_of
from chat.text import is_direct

if TYPE_CHECKING:
    from chat.protocol import frames, values

__all__ = [
    "ROOMS",
    "FollowedThread",
    "FollowedThreads",
    "Invitation",
    "Mute",
    "now_ms",
    "rights_in",
    "settings_from",
]

ROOMS = "rooms"
"""The feature of servers with private channels, roles, moderation and followed threads."""
_UNREAD_LISTED, _NEWEST_LISTED = 100, 20
"""Maximum number of threads with unread replies that a server lists per channel, and the number of
the newest followed threads that it lists in any case."""
_THREADS_MAX = 1_000
"""Maximum number of threads that are known per channel; the oldest roots are dropped."""


def now_ms() -> int:
    """Return the time of day in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Mute:
    """A mute of the user: they may read, but not send. `until` None: until it is lifted."""

    by: str = ""
    until: int | None = None
    reason: str = ""

    @classmethod
    def from_frame(cls, mute: frames.Mute | None) -> Mute | None:
        """Return the mute in a frame."""
        return None if mute is None else cls(mute.by, mute.until, mute.reason or "")

    def is_over(self, now: int) -> bool:
        """Whether the mute has ended at the time `now`, in milliseconds."""
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation of the user to a channel, which they may accept or decline."""

    channel: str
    by: str
    ts: int
    topic: str = ""
    private: bool = False

    @classmethod
    def from_frame(cls, invitation: frames.ChannelInvitation) -> Invitation:
        """Return the invitation in a frame."""
        return cls(
            invitation.channel,
            invitation.by,
            invitation.ts,
            invitation.topic,
            invitation.private,
        )


def settings_from(found: values.ChannelSettings | Mapping[str, Any] | None) -> ChannelSettings:
    """Return the settings in a frame, or in JSON; unknown ones are ignored."""
    if found is None:
        return DEFAULT
    fields = found if isinstance(found, Mapping) else dict(found)
    known = {name: fields[name] for name in ChannelSettings._fields if name in fields}
    return ChannelSettings(**known)


def rights_in(
    channel: str, role: str, settings: ChannelSettings, mute: Mute | None, now: int
) -> frozenset[Right]:
    """Return what the user may do in a channel at the time `now`, in milliseconds."""
    is_muted = mute is not None and not mute.is_over(now)
    rights = rights_of(standing_of(role, is_muted=is_muted), settings)
    return rights & DIRECT if is_direct(channel) else rights


@dataclass(frozen=True, slots=True)
class FollowedThread:
    """A thread of a channel, by the seq of its `root`, with the user's marker in it.

    `unread` and `mentions` count replies of others above `read` that are not in the channel's
    timeline. `marked` is the marker that the server has.
    """

    root: int
    read: int = 0
    unread: int = 0
    mentions: int = 0
    following: bool = True
    marked: int = 0


class FollowedThreads:
    """The threads of one channel that the user follows, or has stopped to follow.

    Args:
        known: the threads as they were stored.
    """

    def __init__(self, known: Iterable[FollowedThread] = ()) -> None:
        self._known = {thread.root: thread for thread in known}
        self._counted = 0  # the counts include events up to this seq

    def __iter__(self) -> Iterator[FollowedThread]:
        return iter(list(self._known.values()))

    def get(self, root: int) -> FollowedThread:
        """Return a thread; one that is not known is not followed."""
        return self._known.get(root) or FollowedThread(root, following=False)

    def is_known(self, root: int) -> bool:
        """Whether the user is known to follow the thread, or to have stopped."""
        return root in self._known

    @property
    def waiting(self) -> tuple[FollowedThread, ...]:
        """The followed threads with unread replies, newest root first."""
        found = (each for each in self._known.values() if each.following and each.unread)
        return tuple(sorted(found, key=lambda each: -each.root))

    @property
    def unsent(self) -> list[FollowedThread]:
        """The threads whose marker the server does not have."""
        return [each for each in self._known.values() if each.read > each.marked]

    def take(self, states: Sequence[frames.ThreadState], head: int) -> None:
        """Apply the server's list of followed threads, as of `head`.

        The server's counts replace the local ones, unless the local marker is further.
        """
        self._counted = max(self._counted, head)
        listed = {state.thread for state in states}
        has_all = len(states) < _NEWEST_LISTED
        has_all_unread = sum(state.unread > 0 for state in states) < _UNREAD_LISTED
        for thread in self:
            if thread.root not in listed and has_all_unread:
                following = thread.following and not has_all
                self._put(replace(thread, unread=0, mentions=0, following=following))
        for state in states:
            known = self._known.get(state.thread)
            if known is None or state.read >= known.read:
                self._put(
                    FollowedThread(
                        state.thread, state.read, state.unread, state.mentions, marked=state.read
                    )
                )

    def apply_read(self, frame: frames.Read) -> None:
        """Apply a marker that was moved on any device, or a change of following."""
        assert frame.thread is not None
        known = self.get(frame.thread)
        if frame.seq >= known.read:
            counts = (frame.seq, frame.unread, frame.mentions)
            self._put(FollowedThread(frame.thread, *counts, frame.following, frame.seq))
        else:
            self._put(replace(known, following=frame.following, marked=frame.seq))

    def follow(self, root: int, read: int = 0, *, following: bool = True) -> None:
        """Follow a thread, or no longer; a new one is read up to `read`."""
        known = self._known.get(root)
        if known is None:
            self._put(FollowedThread(root, read, following=following, marked=read))
        elif known.following != following:
            self._put(replace(known, following=following))

    def count(self, root: int, seq: int, unread: int, mentions: int) -> None:
        """Add to the counts of a followed thread; an event that they include is ignored."""
        known = self._known.get(root)
        if known is not None and known.following and seq > self._counted:
            self._put(
                replace(
                    known,
                    unread=max(0, known.unread + unread),
                    mentions=max(0, known.mentions + mentions),
                )
            )

    def mark(self, root: int, read: int, unread: int, mentions: int) -> None:
        """Move the marker of a thread forward, with the counts above it."""
        self._put(replace(self.get(root), read=read, unread=unread, mentions=mentions))

    def marked(self, root: int, seq: int) -> None:
        """Note the marker that the server has."""
        known = self.get(root)
        self._put(replace(known, marked=max(known.marked, seq)))

    def clear(self) -> None:
        """Forget all threads: the log was replaced."""
        self._known.clear()
        self._counted = 0

    def _put(self, thread: FollowedThread) -> None:
        self._known[thread.root] = thread
        while len(self._known) > _THREADS_MAX:
            del self._known[min(self._known)]
