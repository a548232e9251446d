"""What handlers need: store, live channels, broker, presence, settings.

Built once by the composition root (`app`); everything here runs on the event loop, and the two
doors to the store's threads are `write` and `read`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from chat.broker.port import Broker
from chat.errors import CommandError, StoreUnavailable
from chat.rate import Budgets, TokenBuckets
from chat.server.channels.live import LiveChannel, LiveChannels
from chat.server.channels.presence import PresenceBroadcaster, PresenceTracker
from chat.server.config import ServerSettings
from chat.server.reads import ReadBatcher, error_of, tell
from chat.server.transport.connection import Connection
from chat.server.transport.limits import AdmissionQueue, KeyedSerializer
from chat.store.operations import (
    Commit,
    Failure,
    Operation,
    Pending,
    Quota,
)
from chat.store.read.reader import Reader
from chat.store.store import Store

__all__ = ["ServerContext"]

log = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVar("A")

SIGN_INS = 64
"""Sign-ins under way at once: enough to fill group commits, too few to hold up other reads."""
NAMES_WITHIN = 600.0
"""Seconds after which an address may again claim as many names as at once."""


class ReadingSession(Protocol):
    """A signed-in session, as readings see it."""

    connection: Connection

    @property
    def id(self) -> str:
        """The session's id."""

    @property
    def name(self) -> str:
        """The person's name."""

    @property
    def is_closed(self) -> bool:
        """Whether nobody waits for an answer any more."""


class Present(Protocol):
    """A signed-in session, as those who learn of its presence see it."""

    channels: dict[str, LiveChannel]

    @property
    def name(self) -> str:
        """The person's name."""


class ServerContext:
    """The state that is shared by all connections."""

    def __init__(
        self, settings: ServerSettings, loop: asyncio.AbstractEventLoop, broker: Broker
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.loop = loop
        self.hub = LiveChannels()
        self.presence = PresenceTracker()
        self.news = PresenceBroadcaster(loop, self.presence)
        self.gate = AdmissionQueue(SIGN_INS, settings.sign_in_patience)
        """Admits sign-ins, so that thousands who return at once do not undo each other."""
        limits = settings.limits
        self.budgets = Budgets(limits.rate, limits.burst, settings.address_people)
        self._new_names = TokenBuckets(settings.sign_ups / NAMES_WITHIN, settings.sign_ups)
        self.connections: set[Connection] = set()
        self.store: Store
        """Set by `app` before the first connection: the store needs `committed` to open."""
        self._written: list[Pending[Any]] = []
        self._readings = ReadBatcher(loop, lambda query: self.store.read(query))
        self._welcomes = ReadBatcher(loop, lambda query: self.store.welcome(query))
        self._searches = KeyedSerializer()
        self._reads_of_sessions = KeyedSerializer()
        self._reads_of_people = KeyedSerializer()
        self._broker = broker
        broker.subscribe(self.hub.deliver)

    def name_quota(self, source: str | None) -> Quota | None:
        """Return what counts the names that an address claims; None: it is not limited."""
        if source is None:
            return None
        return lambda: self._new_names.take(source, time.monotonic())

    def tell_presence(self, session: Present) -> None:
        """Have everybody who shares a channel with a person learn their presence."""
        hidden = self.hub.direct_channels(session.name)
        self.news.of_person(session.name, {*session.channels.values(), *hidden})

    # The store

    def write(
        self,
        operation: Operation[T],
        done: Callable[[T], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """Hand an operation to the writer.

        `done` or `failed` is called on the event loop, after the events of the commit were sent.
        """
        if not self._written:
            self.loop.call_soon(self._submit)
        self._written.append(Pending(operation, done, failed))

    def _submit(self) -> None:
        """Submit what the turn brought.

        One by one, the writer began with the first (uvloop lets other threads run before each
        callback): commits of two or three operations, four times as many as are needed.
        """
        written, self._written = self._written, []
        try:
            self.store.submit(written)
        except StoreUnavailable as closed:  # the server is stopping
            for pending in written:
                pending.failed(closed)

    def committed(self, commit: Commit) -> None:
        """Take a group commit over to the event loop (called in the writer's thread)."""
        self.loop.call_soon_threadsafe(self._deliver, commit)

    def read(
        self,
        query: Callable[[Reader], T],
        then: Callable[[T], None],
        refused: Callable[[CommandError], None],
    ) -> None:
        """Run `query` in a reader's thread, then `then` or `refused` on the event loop."""
        self._readings.ask(query, then, refused)

    def read_to_welcome(
        self,
        query: Callable[[Reader], T],
        then: Callable[[T], None],
        refused: Callable[[CommandError], None],
    ) -> None:
        """Do as `read` does, where nothing but signing in is read."""
        self._welcomes.ask(query, then, refused)

    def read_in_turn(
        self,
        session: ReadingSession,
        query: Callable[[Reader], T],
        then: Callable[[T], None],
        refused: Callable[[CommandError], None],
    ) -> None:
        """Do as `read` does, when it is the turn of this session and of its person.

        A session's reads follow one another, each once the peer has taken most of what it was
        sent; so those of a peer that does not read are never begun. A person's follow one another
        too, from all sessions, and others' come in between. What a session that is over still
        waits for is not read.
        """
        who = session.name

        def await_peer() -> bool:
            if not session.is_closed:
                session.connection.outlet.when_taken(await_turn)
            return not session.is_closed

        def await_turn() -> None:
            self._reads_of_people.take(who, begin)

        def begin() -> bool:
            if not session.is_closed:
                self.read(query, over(then), over(refused))
            return not session.is_closed

        def over(tell: Callable[[A], None]) -> Callable[[A], None]:
            def told(answer: A) -> None:
                try:
                    tell(answer)
                finally:
                    self._reads_of_people.end(who)
                    self._reads_of_sessions.end(session.id)

            return told

        self._reads_of_sessions.take(session.id, await_peer)

    def forget_reads(self, session_id: str) -> None:
        """Drop what a session that is over waits to read."""
        self._reads_of_sessions.forget(session_id)

    def search(
        self,
        session: ReadingSession,
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
                self.store.search(query).add_done_callback(found)
            return not session.is_closed

        def found(future: Future[T]) -> None:
            self.loop.call_soon_threadsafe(finish, future)

        def finish(future: Future[T]) -> None:
            tell(error_of(future) or future.result(), over(then), over(refused))

        def over(tell: Callable[[A], None]) -> Callable[[A], None]:
            def told(answer: A) -> None:
                try:
                    tell(answer)
                finally:
                    self._searches.end(who)

            return told

        self._searches.take(who, begin)

    def _deliver(self, commit: Commit) -> None:
        """Send a commit's events, then tell those who asked for it."""
        if commit.events:
            self._broker.publish(commit.events)
        for pending in commit.operations:
            try:
                pending.settle()
            # An internal error in one answer must not keep the commit's other answers back.
            except Exception:
                log.exception("an answer could not be given")
