"""Purge erased text from the index and the write-ahead log.

The writer's thread does it between two commits, a short step at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chat.store.sqlite import engine, fts5

__all__ = ["PURGE_AFTER", "Purge"]

log = logging.getLogger(__name__)

PURGE_AFTER = 1.0
"""Seconds from a deletion to the removal of its traces; five are promised."""
PURGE_RETRY = 0.25


class Purge:
    """Knows when there is something to remove, and removes it.

    Args:
        connect: returns the writer's connection, outside of a transaction.
        failed: is told why a step failed, and returns whether it takes care of that; the step will
            be tried again.
    """

    def __init__(
        self, connect: Callable[[], Connection], failed: Callable[[DBAPIError], object]
    ) -> None:
        self._connect = connect
        self._failed = failed
        self.at: float | None = 0.0  # what a crash left is removed at once
        """When a step is due, by the monotonic clock; None: there is nothing to remove."""
        self._is_under_way = False
        self._is_late = False
        self._is_told = False

    def erased(self) -> None:
        """Note that something was erased."""
        self._is_late = self._is_under_way  # the round under way may have passed its place
        if self.at is None:
            self.at = time.monotonic() + PURGE_AFTER

    def step(self) -> None:
        """Remove a part, and decide when the next step is due."""
        try:
            connection = self._connect()
            is_done = self._clean_index(connection) and engine.truncate_wal(connection)
        except DBAPIError as exc:
            is_done, self._is_under_way = False, False
            self._tell(exc)
        wait = 0.0 if self._is_under_way else PURGE_RETRY
        self.at = None if is_done else time.monotonic() + wait

    def _tell(self, error: DBAPIError) -> None:
        if self._failed(error) or engine.is_unavailability(error) or self._is_told:
            return
        log.error("what was erased is still on the disk; it is tried again", exc_info=error)
        self._is_told = True

    def _clean_index(self, connection: Connection) -> bool:
        """Do a part of a round; return whether the index holds nothing that was erased."""
        is_first = not self._is_under_way
        if is_first:
            engine.truncate_wal(connection)  # the texts need not wait for their words
        with connection.begin():
            if not fts5.is_whole(connection):
                self._is_under_way = False  # it is mended first, and holds nothing erased then
                return False
            if is_first and fts5.is_purged(connection):
                return True
            has_dropped = is_first and fts5.drop_levels(connection)
        if has_dropped:
            connection.invalidate()
        with connection.begin():
            if is_first:
                self._is_under_way, self._is_late = True, False
            if not fts5.merge(connection, is_first=is_first):
                return False
            self._is_under_way = False
            if self._is_late:
                return False
            fts5.purged(connection)
            return True
