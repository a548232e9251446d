"""A store whose results and commits a test can hold back, and whose queries it can replace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar, cast

from chat.store.operations import Batch, Commit, Pending
from chat.store.read.reader import Reader
from chat.store.store import Store
from tests.serving import PATIENCE

__all__ = ["Commits", "HeldReads", "HeldStore"]

T = TypeVar("T")


class HeldReads:
    """Executed queries whose results are held back."""

    def __init__(self) -> None:
        self._held: list[tuple[Future[Any], Future[Any]]] = []

    def add(self, found: Future[T]) -> Future[T]:
        """Hold back a result; return the future that gets it when it is released."""
        future: Future[T] = Future()
        self._held.append((found, future))
        return future

    async def until_done(self) -> None:
        """Wait until a query has run and its result is held back."""
        async with asyncio.timeout(PATIENCE):
            while not any(found.done() for found, _told in self._held):
                await asyncio.sleep(0.001)

    def release(self) -> None:
        """Release the results."""
        for found, future in self._held:
            future.set_result(found.result(PATIENCE))


class Commits:
    """Forwards the commits of a store, or holds them back.

    Args:
        committed: receives each commit.
    """

    def __init__(self, committed: Callable[[Commit], None]) -> None:
        self._committed = committed
        self._held: list[Commit] = []
        self._is_holding = False
        self.last_entry = 0
        """The last entry of the audit log that was forwarded or held back; 0: none yet."""

    def __call__(self, commit: Commit) -> None:
        """Forward a commit, or hold it back."""
        if commit.audit:
            self.last_entry = commit.audit[-1].seq
        if self._is_holding:
            self._held.append(commit)
        else:
            self._committed(commit)

    @contextmanager
    def hold(self) -> Iterator[list[Commit]]:
        """Hold back the commits made during the block."""
        self._is_holding = True
        try:
            yield self._held
        finally:
            self._is_holding = False

    def release(self) -> None:
        """Forward the commits that were held back."""
        for commit in self._held:
            self._committed(commit)
        self._held.clear()


class HeldStore(Store):
    """A `Store`; see `opened`.

    `replaced` has replacements of `Reader`'s methods, by the method's name. Each gets the real
    reader, then the method's arguments.
    """

    commits: Commits

    @classmethod
    def opened(cls, url: str, *, committed: Callable[[Commit], None], **options: Any) -> Self:
        """See `Store.open`."""
        commits = Commits(committed)
        store = cls.open(url, committed=commits, **options)
        store.commits = commits
        return store

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.replaced: dict[str, Callable[..., Any]] = {}
        self._reads: dict[str, HeldReads] = {}
        self._operations: list[Pending[Any]] | None = None
        self._queue = self.submit
        self.submit = self._queue_or_hold

    @contextmanager
    def hold(self, method: str) -> Iterator[HeldReads]:
        """Hold back the results of `read`, `welcome` or `search`, for calls during the block."""
        self._reads[method] = HeldReads()
        try:
            yield self._reads[method]
        finally:
            del self._reads[method]

    @contextmanager
    def hold_operations(self) -> Iterator[list[Pending[Any]]]:
        """Collect the operations that are submitted during the block, instead of queuing them."""
        self._operations = []
        try:
            yield self._operations
        finally:
            self._operations = None

    def read(self, query: Callable[[Reader], T]) -> Future[T]:
        """See `Store`."""
        return self._result("read", super().read(self._with_replaced(query)))

    def welcome(self, query: Callable[[Reader], T]) -> Future[T]:
        """See `Store`."""
        return self._result("welcome", super().welcome(self._with_replaced(query)))

    def search(self, query: Callable[[Reader], T]) -> Future[T]:
        """See `Store`."""
        return self._result("search", super().search(self._with_replaced(query)))

    def _queue_or_hold(self, batch: Batch) -> None:
        if self._operations is None:
            self._queue(batch)
        else:
            self._operations += batch

    def _result(self, method: str, found: Future[T]) -> Future[T]:
        held = self._reads.get(method)
        return found if held is None else held.add(found)

    def _with_replaced(self, query: Callable[[Reader], T]) -> Callable[[Reader], T]:
        return lambda reader: query(cast("Reader", _Replaced(reader, self.replaced)))


class _Replaced:
    """A reader with some replaced methods."""

    def __init__(self, reader: Reader, replaced: dict[str, Callable[..., Any]]) -> None:
        self._reader = reader
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        if name in self._replaced:
            return partial(self._replaced[name], self._reader)
        return getattr(self._reader, name)
