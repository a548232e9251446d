"""Several servers on one database within this process, for tests of the delivery between them.

`SharedDatabase` lets several servers use one real store on SQLite, each as if it were the only one
in its process: one batch of one server after the other, so that a commit belongs to one server.
`LossyHub` is a broker that loses, repeats, delays and reorders messages.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from chat.broker.memory import MemoryBroker, MemoryHub
from chat.broker.port import Broker
from chat.errors import StoreUnavailable
from chat.protocol.values import Limits
from chat.server.app import App
from chat.server.cluster.peers import PeerTiming
from chat.server.cluster.relay import Timing
from chat.server.config.settings import ServerSettings
from chat.store.operations import Batch, Commit, Notice
from chat.store.read.reader import Reader
from chat.store.store import Store
from chat.text import channel_names, is_direct

__all__ = ["FAST", "LossyHub", "SharedDatabase", "SilentBroker", "servers"]

T = TypeVar("T")

FAST = Timing(poll=0.2, confirm=0.1, patience=20.0)
"""Times for tests; no busy machine may cut a server off."""


class LossyHub(MemoryHub):
    """Loses, repeats, delays and reorders messages, each with the given chance."""

    def __init__(self, chance: random.Random, loss: float = 0.2, repeats: float = 0.2) -> None:
        super().__init__()
        self._chance = chance
        self.loss = loss
        self._repeats = repeats

    def publish(self, subject: str, content: bytes) -> None:
        """Deliver a message to the subscribers, or not."""
        loop = asyncio.get_running_loop()
        for broker in tuple(self.brokers):
            if self._chance.random() >= self.loss:
                copies = 2 if self._chance.random() < self._repeats else 1
                for _ in range(copies):
                    delay = self._chance.uniform(0, 0.05)
                    loop.call_later(delay, broker.receive, subject, content)


class SilentBroker(MemoryBroker):
    """A broker that can be silenced: nobody receives what it publishes."""

    is_silent = False

    def publish(self, subject: str, content: bytes) -> None:
        """See `Broker`."""
        if not self.is_silent:
            super().publish(subject, content)


class SharedDatabase:
    """A store on SQLite for several servers in this process."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._seats: list[_Seat] = []
        self._batches: deque[tuple[_Seat, Batch]] = deque()
        self._running: tuple[_Seat, set[int]] | None = None
        """The server of the batch in the writer, and the operations without an outcome."""
        self.notices: list[Notice] = []
        self.store = Store.open(f"sqlite:///{path}", limits=Limits(), committed=self._committed)

    def open(
        self, _url: str, *, limits: Limits, committed: Callable[[Commit], None], defer: object
    ) -> Store:
        """Return a store for one more server; the arguments are those of `Store.open`."""
        del defer
        seat = _Seat(self, committed)
        self._seats.append(seat)
        return cast("Store", seat)

    def submit(self, seat: _Seat, batch: Batch) -> None:
        """Queue a batch; the next one runs when all its operations have an outcome."""
        with self._lock:
            self._batches.append((seat, batch))
            self._start_next()

    def _start_next(self) -> None:
        if self._running is None and self._batches:
            seat, batch = self._batches.popleft()
            self._running = seat, {id(pending) for pending in batch}
            self.store.submit(batch)

    def _committed(self, commit: Commit) -> None:
        with self._lock:
            running = self._running
            if running is not None and commit.operations:
                seat, missing = running
                missing -= {id(pending) for pending in commit.operations}
                if not missing:
                    self._running = None
                self._hand_over(seat, commit)
                self._start_next()
            else:
                for each in self._seats:
                    each.committed(commit)

    def _hand_over(self, seat: _Seat, commit: Commit) -> None:
        notice = self._notice(commit)
        if notice is not None:
            self.notices.append(notice)
        seat.committed(replace(commit, notice=notice, generation=len(self.notices)))
        if commit.audit:
            for each in self._seats:
                if each is not seat:
                    each.committed(Commit((), (), commit.audit, commit.has_jobs))

    def _notice(self, commit: Commit) -> Notice | None:
        """Return the notice of a commit, as a database for several servers makes it."""
        listed, left = [], []
        for event in commit.events:
            name, seq = event["channel"], event["seq"]
            if event["kind"] == "join":
                listed.append((event["author"], name, seq))
            elif event["kind"] == "leave":
                left.append((event["author"], name, seq))
            elif event["kind"] == "message" and is_direct(name):
                hidden = commit.kept_hidden.get(name, ())
                listed += [(user, name, seq) for user in set(channel_names(name)) - set(hidden)]
        uninvited = tuple((user.name, invitation) for user, invitation in commit.uninvited)
        if not (listed or left or uninvited):
            return None
        return Notice(len(self.notices) + 1, 0, listed, left, uninvited=uninvited)

    def finish(self) -> None:
        """Wait until all batches are committed."""
        while self._running or self._batches:
            time.sleep(0.001)

    def close(self) -> None:
        """Close the store, after all servers."""
        self.store.close()


class _Seat:
    """The store as one server sees it."""

    def __init__(self, database: SharedDatabase, committed: Callable[[Commit], None]) -> None:
        self._database = database
        self.committed = committed
        self.server_id = database.store.server_id
        self.is_unreachable = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database.store, name)

    def submit(self, batch: Batch) -> None:
        """See `Store`."""
        self._database.submit(self, batch)

    def read(self, query: Callable[[Reader], T]) -> Future[T]:
        """See `Store`."""
        return self._reachable() or self._database.store.read(query)

    def follow(self, query: Callable[[Reader], T]) -> Future[T]:
        """See `Store`; the reader also has the notices."""
        notices = self._database.notices
        return self._reachable() or self._database.store.follow(
            lambda reader: query(cast("Reader", _NoticeReader(reader, notices)))
        )

    def close(self) -> None:
        """Wait for the batches of all servers; the database is closed later."""
        self._database.finish()

    def _reachable(self) -> Future[Any] | None:
        if not self.is_unreachable:
            return None
        failed: Future[Any] = Future()
        failed.set_exception(StoreUnavailable("the database cannot be reached"))
        return failed


class _NoticeReader:
    def __init__(self, reader: Reader, notices: list[Notice]) -> None:
        self._reader = reader
        self._notices = tuple(notices)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def generation(self) -> int:
        return len(self._notices)

    def notices_after(self, generation: int) -> list[Notice]:
        return list(self._notices[generation:])


@contextmanager
def cut_from_database(app: App) -> Iterator[None]:
    """Cut a server off from the database: its reads fail."""
    seat = cast("_Seat", app.store)
    seat.is_unreachable = True
    try:
        yield
    finally:
        seat.is_unreachable = False


@asynccontextmanager
async def servers(
    folder: Path,
    count: int,
    open_broker: Callable[[], Broker],
    timing: Timing = FAST,
    peer_timing: PeerTiming | None = None,
) -> AsyncIterator[list[App]]:
    """Run `count` servers on one database; each one has its own broker."""
    database = SharedDatabase(folder / "chat.db")
    loop = asyncio.get_running_loop()
    try:
        async with AsyncExitStack() as stack:
            running = []
            for _ in range(count):
                settings = ServerSettings(data=folder, host=["127.0.0.1"], port=0)
                app = App(
                    settings,
                    loop,
                    open_store=database.open,
                    open_broker=lambda _: open_broker(),
                    timing=timing,
                    peer_timing=peer_timing,
                )
                await app.start()
                stack.push_async_callback(app.stop)
                running.append(app)
            yield running
    finally:
        await asyncio.to_thread(database.close)
