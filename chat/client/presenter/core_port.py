"""The `CorePort`: what the interface needs of the core."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from chat.client.model.preferences import Wish
from chat.client.model.state import Message, Update
from chat.client.sync.inbox import Unread

if TYPE_CHECKING:
    from chat.protocol.commands import Search
    from chat.protocol.frames import ChannelList, Joined, Members, Ok, Page, Results
    from chat.protocol.values import Status

__all__ = ["CorePort", "answer"]

T = TypeVar("T")


class CorePort(Protocol):
    """The client without its face: connection, cache and outbox, in a thread of its own.

    Every method is called from the face's thread and returns at once. What changed comes from
    `drain`, in order; the core calls the `wake` it was made with, from its own thread, whenever
    there is something to drain. Futures fail with a `ChatError` whose text is for a person.
    """

    def open(self) -> None:
        """Read what is on disk; it is there to be drained when this returns."""

    def start(self) -> None:
        """Connect, and stay connected; read what is on disk, if nobody has."""

    def stop(self, timeout: float = ...) -> None:
        """End the connection and write what is left to disk, within `timeout` seconds."""

    def unsaved(self) -> list[str]:
        """Return the texts that the disk did not take; to be asked after `stop`."""

    def unsent(self) -> int:
        """Return how much waits in the outbox on disk; to be asked after `stop`."""

    def drain(self) -> list[Update]:
        """Return what changed since the last call, oldest first."""

    def send(self, channel: str, text: str, me: bool = False, reply_to: int | None = None) -> str:
        """Put a message into the outbox; return its cid."""

    def edit(self, channel: str, seq: int, text: str) -> str:
        """Replace the text of one's own message; return the cid."""

    def delete(self, channel: str, seq: int) -> str:
        """Erase a message; return the cid."""

    def react(self, channel: str, seq: int, emoji: str, remove: bool = False) -> str:
        """Add one's reaction to a message, or take it back; return the cid."""

    def pin(self, channel: str, seq: int, remove: bool = False) -> str:
        """Pin a message for everybody in the channel, or take its pin away; return the cid."""

    def retry(self, cid: str) -> None:
        """Send a refused message again."""

    def discard(self, cid: str) -> None:
        """Throw away a message that was not sent."""

    def join(self, channel: str) -> Future[Joined]:
        """Become a member; the channel is created if need be."""

    def leave(self, channel: str) -> Future[Ok]:
        """End the membership."""

    def hide(self, channel: str) -> Future[Ok]:
        """Leave a direct channel out of the list until its next message."""

    def topic(self, channel: str, text: str) -> Future[Ok]:
        """Set the topic; an empty one removes it."""

    def who(self, channel: str, cursor: str | None = None) -> Future[Members]:
        """List a channel's members, a page at a time."""

    def pins(self, channel: str) -> Future[Page]:
        """List the messages that are pinned in a channel."""

    def channels(self, cursor: str | None = None) -> Future[ChannelList]:
        """List the public channels, a page at a time."""

    def mark(self, channel: str, seq: int) -> None:
        """Move the read marker forward to `seq`."""

    def prefer(self, channel: str, wish: Wish) -> None:
        """Change how one wants a channel listed and told of."""

    def typing(self, channel: str, state: Literal["start", "stop"]) -> None:
        """Tell the others that one is typing, or is no more."""

    def status(self, status: Status) -> None:
        """Say of oneself: online, away or busy."""

    def load_before(self, channel: str) -> None:
        """Load an older page of the timeline."""

    def load_gap(self, channel: str, seq: int) -> None:
        """Load what is missing before `seq`."""

    def reach(self, channel: str, seq: int) -> Future[bool]:
        """Load a message, from the server if need be, with some lines above it and what is below.

        The answer comes after the lines: whether the message is there.
        """

    def open_thread(self, channel: str, seq: int) -> None:
        """Load the thread of a message, first from the cache; `ThreadChanged` tells it, and on.

        Another one that was open is open no more.
        """

    def load_thread(self) -> None:
        """Load an older page of the thread that is open."""

    def close_thread(self) -> None:
        """Tell nothing more of the thread that is open."""

    def search(self, search: Search) -> Future[Results]:
        """Find messages in one's channels, a page at a time; fails with `Offline` without one."""

    def search_here(self, search: Search) -> Future[Results]:
        """Find messages among the lines on this computer, the newest of them, in one page."""

    def near(self, channel: str, seq: int) -> Future[list[Message]]:
        """Find some lines before and after one, and itself, in order, without showing them."""

    def inbox(self) -> Future[tuple[Unread, ...]]:
        """Find what is unread in all channels, and on this computer."""

    def open_channel(self, channel: str) -> None:
        """Load the channel's newest page, first from the cache; members and typing follow."""

    def save_draft(self, channel: str, text: str) -> None:
        """Keep what is typed but not sent; empty text forgets it."""

    def draft(self, channel: str) -> str:
        """Return what `save_draft` kept."""

    def save_pref(self, key: str, value: str) -> None:
        """Keep something for the next time; empty forgets it."""

    def pref(self, key: str) -> str:
        """Return what `save_pref` kept."""

    def reconnect_now(self) -> None:
        """Do not wait for the next attempt."""

    def rename(self, name: str) -> Future[None]:
        """Sign in with another name, once the server has refused this one as taken.

        What was typed and not sent goes with it.
        """

    def idle(self) -> Future[None]:
        """Wait until the server has answered everything that was typed or asked for."""

    def settled(self) -> Future[None]:
        """Wait until what was typed before is on disk, and `drain` has what came of it."""


async def answer(future: Future[T]) -> T:
    """Wait for an answer of the core; giving up here leaves the core's future alone."""
    return await asyncio.shield(asyncio.wrap_future(future))
