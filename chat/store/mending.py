"""A damaged full-text index is made anew from the logs, while they go on being written.

The writer's thread does it between two commits, a short step at a time. Nothing that is sent waits
for the whole: what the index does not reach yet is stored and left to the step that comes to it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chat.store import fulltext, renewing, sqlite

__all__ = ["MEND_EVERY", "Mending"]

log = logging.getLogger(__name__)

MEND_EVERY = 60.0
"""Seconds between two beginnings: an index that is damaged again at once is not the cause."""
MEND_RETRY = 2.0
DAMAGED = (
    "the full-text index is damaged (%s). It is made anew from the logs, which hold all it held; "
    "messages are stored meanwhile, and whoever searches is asked to wait."
)


class Mending:
    """Knows whether the index has to be made anew, and makes it.

    Args:
        connect: returns the writer's connection, outside of a transaction.
        index: is told whenever the index comes to reach further, or not so far.
    """

    def __init__(self, connect: Callable[[], Connection], index: fulltext.Changes) -> None:
        self._connect = connect
        self._index = index
        self.at: float | None = 0.0  # what a crash or another SQLite left is mended at once
        """When a step is due, by the monotonic clock; None: the index is whole."""
        self._forsaken = float("-inf")
        self._is_under_way = self._is_failing = False

    def doubted(self, error: DBAPIError, since: float) -> None:
        """Hear of a reading, begun at `since`, that failed; what it read may be mended by now."""
        if since >= self._forsaken:
            self.forsake(error)

    def forsake(self, error: DBAPIError) -> bool:
        """Give the index up if `error` says that it is damaged; return whether that was done."""
        if not sqlite.is_of_index(error.orig):
            return False
        try:
            connection = self._connect()
            with connection.begin():
                if not renewing.forsake(connection):
                    return False  # the same damage still: to give it up again would change nothing
        except DBAPIError:
            return False
        log.error(DAMAGED, sqlite.reason_of(error))
        self._index.forget()
        now = time.monotonic()
        self.at, self._forsaken = max(now, self._forsaken + MEND_EVERY), now
        return True

    def step(self) -> None:
        """Make a part of the index, and decide when the next step is due."""
        try:
            connection = self._connect()
            with connection.begin():
                is_whole = renewing.mend(connection)
        except DBAPIError as exc:
            self._failed(exc)
            return
        self._index.forget()
        self.at = None if is_whole else time.monotonic()
        if is_whole and self._is_under_way:
            log.warning("the full-text index is whole")
        self._is_under_way, self._is_failing = not is_whole, False

    def _failed(self, error: DBAPIError) -> None:
        if self.forsake(error):
            return
        if not self._is_failing:  # once: it is tried again and again
            log.error("the full-text index cannot be made anew: %s", sqlite.reason_of(error))
        self._is_failing = True
        self.at = time.monotonic() + MEND_RETRY
