"""Housekeeping between commits: index new messages, purge erased text.

It runs in the writer's thread in short steps; a commit waits for one step at most. Deleted text
remains in the write-ahead log until its truncation, and before SQLite 3.42 in the full-text index
until a merge.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chat.store.backend import INDEX_AFTER
from chat.store.sqlite import engine, fts5

__all__ = ["PURGE_AFTER", "Housekeeping"]

log = logging.getLogger(__name__)

INDEX_RETRY = 2.0
REBUILD_EVERY = 60.0
"""Seconds between rebuilds: if the index is damaged again at once, a rebuild does not help."""
PURGE_AFTER = 1.0
"""Seconds from a deletion to the purge of its text; five are promised."""
PURGE_RETRY = 0.25
CLOSE_PATIENCE = 1.0
CLOSE_RETRY = 0.05
"""Seconds that closing waits for the last readers, and between attempts."""
DAMAGED = (
    "the full-text index is damaged (%s); rebuilding it from the logs. Messages are stored "
    "meanwhile; in a large database, searches fail until it is done."
)


class Housekeeping:
    """Runs indexing and purging in short steps between commits; see `backend.Housekeeping`."""

    def __init__(self, connect: Callable[[], Connection], index_after: float = INDEX_AFTER) -> None:
        self._connect = connect
        self._index_after = index_after
        # Monotonic times; None: nothing to do. Work that a crash left is done at once.
        self._index_at: float | None = 0.0
        self._purge_at: float | None = 0.0
        self._index_pause = 0.0  # time until which indexing is paused
        self._place = 0
        self._invalidated_at = float("-inf")
        self._is_rebuilding = self._is_index_failing = False
        self._is_merging = self._is_late = self._is_purge_failing = False

    @property
    def at(self) -> float | None:
        """See `backend.Housekeeping`."""
        moments = [] if self._purge_at is None else [self._purge_at]
        if self._index_at is not None:
            moments.append(max(self._index_at, self._index_pause))
        return min(moments, default=None)

    def committed(self, newest_event: int, *, has_erased: bool) -> None:
        """See `backend.Housekeeping`."""
        now = time.monotonic()
        waiting = newest_event - self._place
        if waiting > 0:
            due = now if waiting >= fts5.BATCH else now + self._index_after
            self._index_at = due if self._index_at is None else min(due, self._index_at)
        if has_erased:
            self._is_late = self._is_merging  # the current merge may have passed its words
            if self._purge_at is None:
                self._purge_at = now + PURGE_AFTER

    def step(self) -> None:
        """See `backend.Housekeeping`."""
        now = time.monotonic()
        if self._index_at is not None and now >= max(self._index_at, self._index_pause):
            self._index()
        if self._purge_at is not None and now >= self._purge_at:
            self._purge()

    def finish(self) -> None:
        """See `backend.Housekeeping`."""
        deadline = time.monotonic() + CLOSE_PATIENCE
        self._purge()
        while (at := self._purge_at) is not None and (now := time.monotonic()) < deadline:
            time.sleep(max(0.0, min(at - now, CLOSE_RETRY)))
            self._purge()

    def rebuild_index(self, error: DBAPIError, since: float) -> bool:
        """See `backend.Housekeeping`."""
        if since < self._invalidated_at or not engine.is_of_index(error.orig):
            return False
        try:
            connection = self._connect()
            with connection.begin():
                if not fts5.invalidate(connection):
                    return False
        except DBAPIError:
            return False
        log.error(DAMAGED, engine.reason_of(error))
        now = time.monotonic()
        self._index_at, self._place = now, 0
        self._index_pause = self._invalidated_at + REBUILD_EVERY
        self._invalidated_at = now
        return True

    def _index(self) -> None:
        now = time.monotonic()
        try:
            connection = self._connect()
            with connection.begin():
                self._is_rebuilding |= fts5.place(connection) is None
                is_all = fts5.index_next(connection)
                self._place = fts5.place(connection) or 0
        except DBAPIError as exc:
            if not self.rebuild_index(exc, now):
                self._index_pause = now + INDEX_RETRY
                if not self._is_index_failing:  # log only the first failure
                    log.error("cannot index messages: %s", engine.reason_of(exc))
                self._is_index_failing = True
            return
        self._is_index_failing = False
        self._index_at = None if is_all else now
        if is_all and self._is_rebuilding:
            log.warning("rebuilt the full-text index")
            self._is_rebuilding = False

    def _purge(self) -> None:
        try:
            connection = self._connect()
            is_done = self._purge_index(connection) and engine.truncate_wal(connection)
        except DBAPIError as exc:
            is_done = self._is_merging = False
            is_known = self.rebuild_index(exc, time.monotonic()) or engine.is_unavailability(exc)
            if not is_known and not self._is_purge_failing:
                log.error("cannot purge deleted text from the disk; trying again", exc_info=exc)
                self._is_purge_failing = True
        wait = 0.0 if self._is_merging else PURGE_RETRY
        self._purge_at = None if is_done else time.monotonic() + wait

    def _purge_index(self, connection: Connection) -> bool:
        """Run a step of a merge if needed; return whether the index is purged."""
        is_first = not self._is_merging
        if is_first:
            engine.truncate_wal(connection)  # texts are purged before their words
        with connection.begin():
            if fts5.is_purged(connection):
                self._is_merging = False
                return True
            if fts5.place(connection) is None or fts5.needs_rebuild(connection):
                fts5.invalidate(connection)
                self._is_merging = False
                self._index_at = self._index_at or 0.0
                return False  # the rebuild removes the words
            if is_first:
                self._is_late = False
            self._is_merging = not fts5.merge(connection, is_first=is_first)
            if self._is_merging or self._is_late:
                return False
            fts5.purged(connection)
            return True
