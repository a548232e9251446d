"""What every handler needs: the store, the hub, the broker, who is there, and the settings.

Built once by the composition root (`app`); everything here runs on the event loop, and the two
doors to the store's threads are `write` and `read`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from chat.broker.port import Broker
from chat.core.gate import Gate
from chat.core.presence import PresenceBook
from chat.core.turns import Turns
from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.protocol.frames import PresenceFrame, TypingFrame
from chat.protocol.items import Event
from chat.server.config import ServerSettings
from chat.server.connection import Connection
from chat.server.hub import Hub, Room
from chat.store.ops import (
    Appended,
    JoinedChannel,
    LeftChannel,
    Operation,
    Outcome,
    Pending,
    SignedIn,
)
from chat.store.reading import Reader
from chat.store.store import Store

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["Continuation", "Services", "as_refusal"]

log = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVar("A")

Continuation = Callable[[Outcome], None]
"""Takes the outcome of a write, on the event loop, after its events were sent."""

SIGN_INS = 32
"""Sign-ins under way at once: enough to fill group commits, too few to hold up other reads."""
PULSE = 0.25
"""Seconds between two rounds of presence and typing: storms leave in one frame per room."""
CROWD = 250
"""Sessions in a room above which presence and typing are no longer told there; `who` answers."""
TYPING_NAMES = 5
"""Names in one `typing` frame."""
UNAVAILABLE = "the server cannot write to its disk now; nothing was stored, try again"
UNREADABLE = "the server cannot read its disk now; try again"


class Services:
    """The state that is shared by all connections."""

    def __init__(
        self, settings: ServerSettings, loop: asyncio.AbstractEventLoop, broker: Broker
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.loop = loop
        self.hub = Hub()
        self.presence = PresenceBook()
        self.gate = Gate(SIGN_INS, settings.sign_in_patience)
        """Admits sign-ins, so that thousands who return at once do not undo each other."""
        self.connections: set[Connection] = set()
        self.sessions: dict[str, set[Session]] = {}
        """Live sessions by the person's name."""
        self.store: Store
        """Set by `app` before the first connection: the store needs `committed` to open."""
        self._searches = Turns()
        self._broker = broker
        self._news: set[Room] = set()
        self._pulse: asyncio.TimerHandle | None = None
        broker.subscribe(self.hub.deliver)

    # The store

    def write(self, operation: Operation, then: Continuation) -> None:
        """Hand an operation to the writer; `then` gets its outcome after the commit."""
        try:
            self.store.submit(Pending(operation, then))
        except StoreUnavailable as closed:  # the server is stopping
            then(closed)

    def committed(self, batch: Sequence[tuple[Pending, Outcome]]) -> None:
        """Take a group commit over to the event loop (called in the writer's thread)."""
        self.loop.call_soon_threadsafe(self._deliver, batch)

    def read(
        self,
        query: Callable[[Reader], T],
        then: Callable[[T], None],
        refused: Callable[[CommandError], None],
    ) -> None:
        """Run `query` in a reader's thread, then `then` or `refused` on the event loop."""
        self._tell(self.store.read(query), then, refused)

    def search(
        self,
        session: Session,
        query: Callable[[Reader], T],
        then: Callable[[T], None],
        refused: Callable[[CommandError], None],
    ) -> None:
        """Do as `read` does, where long queries hold up nothing but one another.

        A person's searches follow one another, from all sessions, and others' come in between;
        what a session that is over still waits for is not looked for.
        """
        who = session.name

        def begin() -> bool:
            if not session.is_closed:
                self._tell(self.store.search(query), over(then), over(refused))
            return not session.is_closed

        def over(tell: Callable[[A], None]) -> Callable[[A], None]:
            def told(answer: A) -> None:
                try:
                    tell(answer)
                finally:
                    self._searches.end(who)

            return told

        self._searches.take(who, begin)

    def _tell(
        self,
        found: Future[T],
        then: Callable[[T], None],
        refused: Callable[[CommandError], None],
    ) -> None:
        def back_on_loop(future: Future[T]) -> None:
            self.loop.call_soon_threadsafe(finish, future)

        def finish(future: Future[T]) -> None:
            error = future.exception()
            if error is None:
                then(future.result())
            elif isinstance(error, CommandError):
                refused(error)
            else:
                if not isinstance(error, StoreUnavailable):
                    log.error("a read failed", exc_info=error)
                refused(CommandError(ErrorCode.UNAVAILABLE, UNREADABLE, retry_after=1.0))

        found.add_done_callback(back_on_loop)

    def _deliver(self, batch: Sequence[tuple[Pending, Outcome]]) -> None:
        """Send a commit's events, then tell those who asked for it.

        A membership that ends within the batch ends there: what follows it is not for its former
        member, so events are sent up to it first.
        """
        events: list[Event] = []
        done: list[tuple[Continuation, Outcome]] = []
        for pending, outcome in batch:
            events.extend(_events_of(outcome))
            # The store gives back untouched what `write` put there: a continuation.
            done.append((pending.token, outcome))  # type: ignore[arg-type]
            if isinstance(outcome, LeftChannel):
                self._finish(events, done)
                events, done = [], []
        self._finish(events, done)

    def _finish(self, events: list[Event], done: list[tuple[Continuation, Outcome]]) -> None:
        if events:
            self._broker.publish(events)
        for then, outcome in done:
            try:
                then(outcome)
            except Exception:
                log.exception("an answer could not be given")

    # Presence and typing

    def is_crowded(self, room: Room) -> bool:
        """Whether presence and typing are not told in this room: they would be its main load."""
        return len(room.members) > CROWD

    def tell_presence(self, session: Session) -> None:
        """Have everybody who shares a channel with this person learn their presence."""
        presence = self.presence.of(session.name)
        for room in session.rooms.values():
            room.presence_news[session.name] = presence
            self.note_news(room)

    def note_news(self, room: Room) -> None:
        """Have the room's presence and typing told with the next pulse."""
        self._news.add(room)
        if self._pulse is None:
            self._pulse = self.loop.call_later(PULSE, self._tell_news)

    def _tell_news(self) -> None:
        self._pulse = None
        news, self._news = self._news, set()
        for room in news:
            room.typing.expire(self.loop.time())
            if room.presence_news:
                self._tell_room_presence(room)
            if not self.is_crowded(room) and room.typing.version != room.typing_told:
                room.typing_told = room.typing.version
                room.send_ephemeral(self.typing_frame(room))
            if room.typing:
                self.note_news(room)

    def _tell_room_presence(self, room: Room) -> None:
        users, room.presence_news = room.presence_news, {}
        if self.is_crowded(room):
            room.is_presence_stale = True
        elif room.is_presence_stale:
            room.is_presence_stale = False
            room.send_ephemeral(self.presence_snapshot(room))
        else:
            room.presence_version += 1
            room.send_ephemeral(
                PresenceFrame(channel=room.name, version=room.presence_version, users=users)
            )

    def presence_snapshot(self, room: Room) -> PresenceFrame:
        """Return everybody in the room who is not offline."""
        users = {member.name: self.presence.of(member.name) for member in room.members}
        return PresenceFrame(
            channel=room.name, version=room.presence_version, snapshot=True, users=users
        )

    def typing_frame(self, room: Room) -> TypingFrame:
        """Return who types in the room now."""
        names = room.typing.names(TYPING_NAMES)
        return TypingFrame(channel=room.name, version=room.typing.version, users=names)


def _events_of(outcome: Outcome) -> tuple[Event, ...]:
    if isinstance(outcome, Appended):
        return (outcome.event,) if outcome.event is not None else ()
    if isinstance(outcome, (SignedIn, JoinedChannel, LeftChannel)):
        return outcome.events
    return ()


def as_refusal(outcome: Outcome) -> CommandError | None:
    """Return the refusal that an outcome is, in the words of an `error` frame."""
    if isinstance(outcome, CommandError):
        return outcome
    if isinstance(outcome, StoreUnavailable):
        return CommandError(ErrorCode.UNAVAILABLE, UNAVAILABLE, retry_after=1.0)
    return None
