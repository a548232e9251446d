"""The core as the interface sees it: methods return at once, updates are drained.

It runs in a thread of its own: a terminal that stands still must not stop the heartbeat, and the
network must not stop the screens.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from chat.client.config.settings import ClientSettings
from chat.client.model.emoji import with_emoji
from chat.client.model.preferences import Wish
from chat.client.model.state import ConnectionChanged, Link, Message, SavedChanged, Update
from chat.client.network.backoff import Backoff
from chat.client.network.errors import Offline
from chat.client.platform import event_loop
from chat.client.storage.outbox import new_row
from chat.client.sync.engine import Engine
from chat.client.sync.inbox import Unread, unread_of
from chat.client.sync.publisher import WAITING_MAX, UpdateQueue

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy, Search
    from chat.protocol.frames import Results
    from chat.protocol.values import Status

__all__ = ["Core", "answer"]

START_PATIENCE = 5.0
"""Seconds that the program's start waits for what is on disk."""
ADD_PATIENCE = 0.3
"""Seconds that the screens wait for it when a server is added."""
T = TypeVar("T")
Kind = Literal["draft", "pref"]


class Core:
    """Connection, cache and outbox of one name on one server.

    Its methods are called from one thread, that of the screens, and never wait for network or
    disk. What a person typed goes to the outbox on disk before it is sent. Futures fail with
    `CommandError` or `Offline`, both with a text for a person.

    Args:
        settings: with a name.
        wake: called from the core's thread when updates wait; once, until they are drained.
        backoff: how long to wait between attempts to connect.
        updates_max: updates that wait to be drained; beyond it they are dropped and told anew.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        wake: Callable[[], None],
        backoff: Backoff | None = None,
        updates_max: int = WAITING_MAX,
    ) -> None:
        self._settings = settings
        self._backoff = backoff
        self._updates = UpdateQueue(wake, updates_max)
        self._thread = threading.Thread(target=self._run, name="chat-core", daemon=True)
        self._lock = threading.Lock()
        self._posted: deque[Callable[[Engine], object]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._ready: Future[None] = Future()
        self._connect = asyncio.Event()
        self._stop = asyncio.Event()
        self._waiting: list[Update] = []
        """Taken from the core's thread, to be drained by the screens."""
        self._saved = _Saved()

    @property
    def _failure(self) -> str:
        """Why the core has ended by itself: it takes nothing any more."""
        if not self._ready.done():
            return ""
        failure = self._ready.exception()
        return "" if failure is None else str(failure)

    # Life

    def open(self) -> None:
        """Read what is on disk; it is there to be drained when this returns.

        With it comes the newest page of the channel that was shown last: the whole first picture,
        within milliseconds, and before anything is loaded that only a connection needs. If the
        disk needs longer than `START_PATIENCE`, this returns and updates bring its content later.

        Raises:
            StartupError: the account's file cannot be used.
        """
        self._open(START_PATIENCE)

    def _open(self, patience: float) -> None:
        self._thread.start()
        with suppress(TimeoutError):
            self._ready.result(patience)

    def start(self) -> None:
        """Connect, and stay connected; read what is on disk, if nobody has.

        Raises:
            StartupError: the account's file cannot be used.
        """
        if self._thread.ident is None:
            self._open(ADD_PATIENCE)
        self._post(lambda _: self._connect.set())

    def stop(self, timeout: float = 2.0) -> None:
        """Leave the server and write what is left to disk, within `timeout` seconds."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def unsaved(self) -> list[str]:
        """Return the texts that the disk did not take; to be asked after `stop`."""
        return self._engine.account.unsaved() if self._engine is not None else []

    def unsent(self) -> int:
        """Return how much waits in the outbox on disk; to be asked after `stop`."""
        if self._engine is None:
            return 0
        outbox = self._engine.account.outbox
        return len(outbox) - len(outbox.held)

    def drain(self) -> list[Update]:
        """Return what changed since the last call, oldest first."""
        self._take_updates()
        waiting, self._waiting = self._waiting, []
        return waiting

    def _take_updates(self) -> None:
        waiting, overflowed = self._updates.drain()
        for update in waiting:
            if isinstance(update, SavedChanged):
                self._saved.take(update)
            else:
                self._waiting.append(update)
        if overflowed:
            self._post(lambda engine: self._updates.put_whole(engine.repaint))

    # What a person types

    def send(self, channel: str, text: str, me: bool = False, reply_to: int | None = None) -> str:
        """Put a message into the outbox, emoji in the place of their names; return its cid.

        Like `edit`, it raises `Offline` once the core has failed, so that no text is lost.
        """
        return self._write("send", channel, text=with_emoji(text), me=me or None, reply_to=reply_to)

    def edit(self, channel: str, seq: int, text: str) -> str:
        """Replace the text of one's own message; return the cid."""
        return self._write("edit", channel, seq=seq, text=with_emoji(text))

    def delete(self, channel: str, seq: int) -> str:
        """Erase a message; return the cid."""
        return self._write("delete", channel, seq=seq)

    def react(self, channel: str, seq: int, emoji: str, remove: bool = False) -> str:
        """Add one's reaction to a message, or take it back; return the cid."""
        return self._write("react", channel, seq=seq, emoji=emoji, remove=remove or None)

    def pin(self, channel: str, seq: int, remove: bool = False) -> str:
        """Pin a message for everybody in the channel, or take its pin away; return the cid."""
        return self._write("pin", channel, seq=seq, remove=remove or None)

    def retry(self, cid: str) -> None:
        """Send a refused message again."""
        self._post(lambda engine: engine.retry(cid))

    def discard(self, cid: str) -> None:
        """Throw away a message that was not sent."""
        self._post(lambda engine: engine.discard(cid))

    def save_draft(self, channel: str, text: str) -> None:
        """Keep what is typed but not sent, on disk; empty text forgets it."""
        kept = text.encode("utf-8", "replace").decode()
        number = self._saved.save("draft", channel, kept)
        self._post(lambda engine: engine.save_draft(channel, kept, number))

    def draft(self, channel: str) -> str:
        """Return what `save_draft` kept."""
        self._take_updates()
        return self._saved.get("draft", channel)

    def save_pref(self, key: str, value: str) -> None:
        """Keep something the screens want to find again next time; empty forgets it."""
        number = self._saved.save("pref", key, value)
        self._post(lambda engine: engine.save_pref(key, value, number))

    def pref(self, key: str) -> str:
        """Return what `save_pref` kept."""
        self._take_updates()
        return self._saved.get("pref", key)

    # What a person looks at

    def open_channel(self, channel: str) -> None:
        """Show a channel: its newest page from the cache at once, then what happens in it."""
        self._post(lambda engine: engine.open_channel(channel))

    def load_before(self, channel: str) -> None:
        """Load an older page; a `TimelineChanged` follows in any case."""
        self._post(lambda engine: engine.load_before(channel))

    def load_gap(self, channel: str, seq: int) -> None:
        """Load what is missing before `seq`."""
        self._post(lambda engine: engine.load_gap(channel, seq))

    def reach(self, channel: str, seq: int) -> Future[bool]:
        """Load a message and what is around it, from the server if need be; whether it is there."""
        return self._work_out(lambda engine: engine.reach(channel, seq))

    def near(self, channel: str, seq: int) -> Future[list[Message]]:
        """Find some lines before and after one, and itself, in order, without showing them."""
        return self._work_out(lambda engine: engine.near(channel, seq))

    def search_here(self, search: Search) -> Future[Results]:
        """Find messages among the lines on this computer, the newest of them, in one page."""
        from chat.client.storage.search import (
            search_offline,  # only now: it knows the protocol's models
        )

        return self._work_out(lambda engine: search_offline(engine.account, search))

    def open_thread(self, channel: str, seq: int) -> None:
        """Show the thread of a message, from the cache at once, then what happens in it."""
        self._post(lambda engine: engine.open_thread(channel, seq))

    def load_thread(self) -> None:
        """Load an older page of the thread that is shown; a `ThreadChanged` follows."""
        self._post(lambda engine: engine.load_thread())

    def close_thread(self) -> None:
        """Show no thread any more."""
        self._post(lambda engine: engine.close_thread())

    def inbox(self) -> Future[tuple[Unread, ...]]:
        """Find what is unread in all channels, and on this computer."""
        return self._look_up(lambda engine: unread_of(engine.account))

    def mark(self, channel: str, seq: int) -> None:
        """Move the read marker forward to `seq`; offline, the server hears of it later."""
        self._post(lambda engine: engine.mark(channel, seq))

    def prefer(self, channel: str, wish: Wish) -> None:
        """Change how one wants a channel listed and told of; offline, the server hears later."""
        self._post(lambda engine: engine.prefer(channel, wish))

    # What needs a connection

    def ask(self, command: AnsweredBy[T]) -> Future[T]:
        """Send a command to the server; the future holds the answer, or why there is none.

        This is the way of everything that makes sense only while connected and of which nothing
        is kept here: lists, searches, pins, joining, leaving, hiding, the topic, typing. What
        must outlast the connection has a method of its own: what is typed and read markers, which
        go to disk first; views, which read the cache first; the status, which each new connection
        is told.

        The future fails with one of three errors, each with a text for a person:
        `Offline` (no connection, or it was lost before the answer came), `Unanswered` (nothing
        came in time), `CommandError` (the server refused).
        """
        return self._work_out(lambda engine: engine.ask(command))

    def status(self, status: Status) -> None:
        """Say of oneself: online, away or busy; said again after a reconnect."""
        self._post(lambda engine: engine.set_status(status))

    def reconnect_now(self) -> None:
        """Do not wait for the next attempt."""
        self._post(Engine.reconnect_now)

    def rename(self, name: str) -> Future[None]:
        """Sign in with another name, once the server has refused this one as taken.

        What was typed and not sent goes with it.
        """
        return self._work_out(lambda engine: engine.rename(name))

    def idle(self) -> Future[None]:
        """Wait until the server has answered everything that was typed or asked for."""
        future: Future[None] = Future()
        self._post(lambda engine: engine.when_idle(lambda: future.set_result(None)))
        return future

    def settled(self) -> Future[None]:
        """Wait until what was typed before is on disk, and `drain` has what came of it."""
        return self._look_up(lambda engine: engine.tell())

    # Within

    def _write(self, kind: str, channel: str, **fields: Any) -> str:
        given = {key: value for key, value in fields.items() if value is not None}
        if self._failure and "text" in given:
            raise Offline(self._failure)
        row = new_row({"type": kind, "channel": channel, **given})
        self._post(lambda engine: engine.write(row))
        return row.cid

    def _work_out(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> Future[T]:
        """Have something done in the core's thread that may wait for the server."""
        future: Future[T] = Future()
        if self._failure:
            future.set_exception(Offline(self._failure))
            return future

        async def run(engine: Engine) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(await work(engine))
            except asyncio.CancelledError:
                future.set_exception(Offline("the connection was lost"))
                raise
            except Exception as exc:  # whatever it is, it belongs to who asked
                future.set_exception(exc)

        self._post(lambda engine: engine.start(run(engine)))
        return future

    def _look_up(self, query: Callable[[Engine], T]) -> Future[T]:
        """Have something found out in the core's thread."""
        future: Future[T] = Future()
        if self._failure:
            future.set_exception(Offline(self._failure))
            return future

        def work(engine: Engine) -> None:
            try:
                future.set_result(query(engine))
            except Exception as exc:
                future.set_exception(exc)
                raise

        self._post(work)
        return future

    def _post(self, work: Callable[[Engine], object]) -> None:
        """Have `work` done in the core's thread, in the order of the calls."""
        with self._lock:
            self._posted.append(work)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._work)

    def _work(self) -> None:
        assert self._engine is not None
        while self._posted:
            try:
                self._posted.popleft()(self._engine)
            except Exception as exc:
                self._engine.fault(exc)

    def _run(self) -> None:
        event_loop.run(self._main())

    async def _main(self) -> None:
        try:
            self._engine = engine = Engine(self._settings, self._updates.put, self._backoff)
        except BaseException as exc:
            self._updates.put(ConnectionChanged(Link.STOPPED, str(exc)))
            self._ready.set_exception(exc)
            return
        engine.begin()
        running = asyncio.create_task(engine.run(self._connect))
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._work()
        self._ready.set_result(None)
        try:
            await self._stopping_of(running)
        finally:
            with self._lock:
                self._loop = None

    async def _stopping_of(self, running: asyncio.Task[None]) -> None:
        """Wait until the screens say stop; then clean up."""
        assert self._engine is not None
        await self._stop.wait()
        self._engine.account.flush()  # before anything that may take time
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self._engine.close()


class _Saved:
    """Drafts and preferences as the interface's thread knows them.

    What it saves is there at once, over what the core's thread told; what that thread tells does
    not know of the saves that are still on their way to it.
    """

    def __init__(self) -> None:
        self._told = SavedChanged({}, {})
        self._saves = 0
        self._mine: dict[tuple[Kind, str], tuple[int, str]] = {}

    def save(self, kind: Kind, key: str, text: str) -> int:
        """Keep a text; return the number of this save."""
        self._saves += 1
        self._mine[kind, key] = (self._saves, text)
        return self._saves

    def get(self, kind: Kind, key: str) -> str:
        """Return a text that is kept; empty if there is none."""
        if (kind, key) in self._mine:
            return self._mine[kind, key][1]
        told = self._told.drafts if kind == "draft" else self._told.prefs
        return told.get(key, "")

    def take(self, told: SavedChanged) -> None:
        """Take what the core's thread tells."""
        self._told = told
        self._mine = {key: mine for key, mine in self._mine.items() if mine[0] > told.saves}


async def answer(future: Future[T]) -> T:
    """Wait for an answer of the core; giving up here leaves the core's future alone."""
    return await asyncio.shield(asyncio.wrap_future(future))
