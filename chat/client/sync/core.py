"""The core as the interface sees it: methods return at once, updates are drained.

It runs in its own thread, so a blocked terminal does not stop the heartbeat, and the network does
not block the screens.
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
from chat.client.model.preferences import PreferenceChange
from chat.client.model.sign_in import Credential
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

START_TIMEOUT = 5.0
"""Seconds that the program's start waits for the stored state."""
ADD_TIMEOUT = 0.3
"""Seconds that the screens wait for the stored state of an added server."""
T = TypeVar("T")
Kind = Literal["draft", "pref"]


class Core:
    """Connection, cache and outbox of one name on one server.

    All methods are called from the screens' thread and never wait for network or disk. Typed text
    is written to the outbox on disk before it is sent. Futures fail with `CommandError`, `Offline`
    or `Unanswered`, whose texts are for the user.

    Args:
        settings: with a name.
        wake: called once from the core's thread when updates wait to be drained.
        backoff: delays between attempts to connect.
        updates_max: maximum number of waiting updates; beyond it, all is published again.
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
        """Updates taken from the queue, to be drained by the screens."""
        self._saved = _SavedTexts()

    @property
    def _failure(self) -> str:
        """Why the core has failed; empty if it has not."""
        if not self._ready.done():
            return ""
        failure = self._ready.exception()
        return "" if failure is None else str(failure)

    # Lifecycle

    def open(self) -> None:
        """Load the stored state, so that `drain` returns it.

        This includes the newest page of the last channel: the first screen is complete within
        milliseconds, before anything for the connection is imported. If the disk takes longer than
        `START_TIMEOUT`, the state follows in later updates.

        Raises:
            StartupError: the account's file cannot be used.
        """
        self._open(START_TIMEOUT)

    def _open(self, patience: float) -> None:
        self._thread.start()
        with suppress(TimeoutError):
            self._ready.result(patience)

    def start(self) -> None:
        """Connect, and stay connected; load the stored state if `open` was not called.

        Raises:
            StartupError: the account's file cannot be used.
        """
        if self._thread.ident is None:
            self._open(ADD_TIMEOUT)
        self._post(lambda _: self._connect.set())

    def stop(self, timeout: float = 2.0) -> None:
        """Disconnect and flush, within `timeout` seconds."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def unsaved(self) -> list[str]:
        """Return the texts that could not be saved; call it after `stop`."""
        return self._engine.account.outbox.unsaved_texts() if self._engine is not None else []

    def unsent(self) -> int:
        """Return the number of rows in the outbox on disk; call it after `stop`."""
        if self._engine is None:
            return 0
        outbox = self._engine.account.outbox
        return len(outbox) - len(outbox.unsaved)

    def drain(self) -> list[Update]:
        """Return the updates since the last call, oldest first."""
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
            self._post(lambda engine: self._updates.put_all(engine.repaint))

    # Writing

    def send(
        self,
        channel: str,
        text: str,
        me: bool = False,
        reply_to: int | None = None,
        thread_only: bool = False,
    ) -> str:
        """Add a message to the outbox, with emoji names replaced; return its cid.

        A reply with `thread_only` does not appear in the channel's timeline; servers that do not
        know this get an ordinary reply.

        Raises:
            Offline: the core has failed, so the text would be lost; `edit` does the same.
        """
        return self._write(
            "send",
            channel,
            text=with_emoji(text),
            me=me or None,
            reply_to=reply_to,
            thread_only=thread_only or None,
        )

    def edit(self, channel: str, seq: int, text: str) -> str:
        """Replace the text of the user's own message; return the cid."""
        return self._write("edit", channel, seq=seq, text=with_emoji(text))

    def delete(self, channel: str, seq: int) -> str:
        """Delete a message; return the cid."""
        return self._write("delete", channel, seq=seq)

    def react(self, channel: str, seq: int, emoji: str, remove: bool = False) -> str:
        """Add or remove the user's reaction to a message; return the cid."""
        return self._write("react", channel, seq=seq, emoji=emoji, remove=remove or None)

    def pin(self, channel: str, seq: int, remove: bool = False) -> str:
        """Pin or unpin a message for all members; return the cid."""
        return self._write("pin", channel, seq=seq, remove=remove or None)

    def retry(self, cid: str) -> None:
        """Send a failed message again."""
        self._post(lambda engine: engine.sender.retry(cid))

    def discard(self, cid: str) -> None:
        """Discard an unsent message."""
        self._post(lambda engine: engine.sender.discard(cid))

    def save_draft(self, channel: str, text: str) -> None:
        """Store a draft on disk; an empty text removes it."""
        valid = text.encode("utf-8", "replace").decode()
        number = self._saved.save("draft", channel, valid)
        self._post(lambda engine: engine.save_draft(channel, valid, number))

    def draft(self, channel: str) -> str:
        """Return a draft."""
        self._take_updates()
        return self._saved.get("draft", channel)

    def save_pref(self, key: str, value: str) -> None:
        """Store a preference of the interface; an empty value removes it."""
        number = self._saved.save("pref", key, value)
        self._post(lambda engine: engine.save_pref(key, value, number))

    def pref(self, key: str) -> str:
        """Return a preference of the interface."""
        self._take_updates()
        return self._saved.get("pref", key)

    # Views

    def open_channel(self, channel: str) -> None:
        """Show a channel: its newest page from the cache at once, then its updates."""
        self._post(lambda engine: engine.open_channel(channel))

    def load_before(self, channel: str) -> None:
        """Load an older page; a `TimelineChanged` follows in any case."""
        self._post(lambda engine: engine.load_before(channel))

    def load_gap(self, channel: str, seq: int) -> None:
        """Load the missing lines before `seq`."""
        self._post(lambda engine: engine.load_gap(channel, seq))

    def reach(self, channel: str, seq: int) -> Future[bool]:
        """Load a message and its surroundings, also from the server; return whether it exists."""
        return self._run_async(lambda engine: engine.reach(channel, seq))

    def thread_with(self, channel: str, seq: int) -> Future[int | None]:
        """Return the root of a known reply that is only in its thread; otherwise None."""
        return self._query(lambda engine: engine.thread_with(channel, seq))

    def near(self, channel: str, seq: int) -> Future[list[Message]]:
        """Return some lines around a message, in order, without showing them."""
        return self._run_async(lambda engine: engine.near(channel, seq))

    def search_here(self, search: Search) -> Future[Results]:
        """Search the cached messages; the newest hits are returned in one page."""
        from chat.client.storage.search import (
            search_offline,  # lazy: it imports the protocol's models
        )

        return self._run_async(lambda engine: search_offline(engine.account, search))

    def open_thread(self, channel: str, seq: int) -> None:
        """Show the thread of a message: from the cache at once, then its updates."""
        self._post(lambda engine: engine.open_thread(channel, seq))

    def load_thread(self) -> None:
        """Load an older page of the open thread; a `ThreadChanged` follows."""
        self._post(lambda engine: engine.load_thread())

    def close_thread(self) -> None:
        """Close the thread."""
        self._post(lambda engine: engine.publisher.threads.close())

    def inbox(self) -> Future[tuple[Unread, ...]]:
        """Return the cached unread messages of all channels."""
        return self._query(lambda engine: unread_of(engine.account))

    def mark(self, channel: str, seq: int) -> None:
        """Move the read marker forward to `seq`; if offline, the server gets it later."""
        self._post(lambda engine: engine.mark(channel, seq))

    def mark_thread(self, channel: str, root: int, seq: int) -> None:
        """Move the user's marker in a thread forward to `seq`."""
        self._post(lambda engine: engine.mark_thread(channel, root, seq))

    def prefer(self, channel: str, change: PreferenceChange) -> None:
        """Change a channel's preferences; if offline, the server gets them later."""
        self._post(lambda engine: engine.prefer(channel, change))

    # Online only

    def ask(self, command: AnsweredBy[T]) -> Future[T]:
        """Send a command to the server; the future holds the answer.

        Use it for everything that only works online and is not stored here: lists, searches, pins,
        joining, leaving, hiding, the topic, typing. State that outlasts the connection has methods
        of its own: messages and read markers are written to disk first, views are read from the
        cache, and the status is sent again after a reconnect.

        The future fails with `Offline` (no connection, or it was lost before the answer),
        `Unanswered` (no answer in time), or `CommandError` (rejected); the texts are for the user.
        """
        return self._run_async(lambda engine: engine.online.ask(command))

    def status(self, status: Status) -> None:
        """Set the user's status: online, away or busy; it is sent again after a reconnect."""
        self._post(lambda engine: engine.set_status(status))

    def reconnect_now(self) -> None:
        """Reconnect without waiting."""
        self._post(Engine.reconnect_now)

    def sign_in(self, name: str, credential: Credential | None = None) -> Future[None]:
        """Sign in with another name, or with a credential, after the server has refused.

        Unsent messages and drafts of a refused name are taken over.
        """
        return self._run_async(lambda engine: engine.sign_in(name, credential))

    def idle(self) -> Future[None]:
        """Wait until the server has answered everything."""
        future: Future[None] = Future()
        self._post(lambda engine: engine.when_idle(lambda: future.set_result(None)))
        return future

    def settled(self) -> Future[None]:
        """Wait until earlier calls were applied and stored; then `drain` returns their updates."""
        return self._query(lambda engine: engine.publisher.flush())

    # Internals

    def _write(self, kind: str, channel: str, **fields: Any) -> str:
        given = {key: value for key, value in fields.items() if value is not None}
        if self._failure and "text" in given:
            raise Offline(self._failure)
        row = new_row({"type": kind, "channel": channel, **given})
        self._post(lambda engine: engine.sender.write(row))
        return row.cid

    def _run_async(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run a coroutine in the core's thread; it may wait for the server."""
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
            except Exception as exc:  # the caller handles it
                future.set_exception(exc)

        self._post(lambda engine: engine.tasks.start(run(engine)))
        return future

    def _query(self, query: Callable[[Engine], T]) -> Future[T]:
        """Run a function in the core's thread; the future holds its result."""
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
        """Run `work` in the core's thread, in the order of the calls."""
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
                self._engine.report_error(exc)

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
            await self._wait_for_stop(running)
        finally:
            with self._lock:
                self._loop = None

    async def _wait_for_stop(self, running: asyncio.Task[None]) -> None:
        """Wait for `stop`, then clean up."""
        assert self._engine is not None
        await self._stop.wait()
        self._engine.account.flush()  # first, before anything slow
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self._engine.close()


class _SavedTexts:
    """Drafts and preferences in the interface's thread.

    A saved text is returned at once, although the core's thread gets it later. Its updates do not
    include the saves that are still pending.
    """

    def __init__(self) -> None:
        self._published = SavedChanged({}, {})
        self._saves = 0
        self._unpublished: dict[tuple[Kind, str], tuple[int, str]] = {}

    def save(self, kind: Kind, key: str, text: str) -> int:
        """Set a text; return the number of this save."""
        self._saves += 1
        self._unpublished[kind, key] = (self._saves, text)
        return self._saves

    def get(self, kind: Kind, key: str) -> str:
        """Return a text; empty if there is none."""
        if (kind, key) in self._unpublished:
            return self._unpublished[kind, key][1]
        texts = self._published.drafts if kind == "draft" else self._published.prefs
        return texts.get(key, "")

    def take(self, update: SavedChanged) -> None:
        """Apply an update from the core's thread."""
        self._published = update
        self._unpublished = {
            key: save for key, save in self._unpublished.items() if save[0] > update.saves
        }


async def answer(future: Future[T]) -> T:
    """Wait for a future of the core; cancelling the wait does not cancel the future."""
    return await asyncio.shield(asyncio.wrap_future(future))
