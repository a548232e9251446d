"""Rebuilding the full-text index from the logs, in steps beside writes.

An index that is damaged, or that this SQLite cannot read, is dropped and rebuilt in the order of
places.

The writer's thread does it between two commits, a short step at a time. Nothing that is sent waits
for the whole: what the index does not reach yet is stored and left to the step that comes to it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chat.store.sqlite import engine, fts5
from chat.store.sqlite.fts5 import (
    ADD,
    CREATE,
    SECURE,
    SEQ_BITS,
    WHOLE,
    create,
    entry_of,
    is_current,
    is_secure,
    purged,
    reach_of,
    set_reach,
)

__all__ = ["MEND_EVERY", "IndexRebuild", "forsake", "mend", "prepare", "rebuild", "wrong_channels"]


log = logging.getLogger(__name__)

_FORMAT = 4
"""What SQLite before 3.42 can read; newer ones make another of it."""
_EXISTS = "SELECT 1 FROM sqlite_master WHERE name = 'search_data'"
_SHADOWS = ("search_data", "search_idx", "search_config")
"""Tables in which FTS5 keeps the index."""
_TAKE_AWAY = "DELETE FROM search_data WHERE id IN (SELECT id FROM search_data LIMIT 500)"
"""Takes some pages of a forsaken index away: as many as one step may."""
_WORDS = "SELECT term, doc, col, offset FROM search_words"
_SUM = (1 << 63) - 1
_FILL_BATCH = 1_000
_MESSAGES = text("""
    SELECT e.channel_id, e.seq, e.author_id, b.text
    FROM events e JOIN bodies b ON b.id = e.body_id
    WHERE (e.channel_id, e.seq) > (:channel, :number) AND e.kind = 'message' AND NOT e.erased
    ORDER BY e.channel_id, e.seq LIMIT :count""")


def rebuild(connection: Connection) -> None:
    """Index the log as it is now, all at once; what was indexed before is forgotten."""
    forsake(connection)
    _renew(connection)
    for entries in _entries(connection):
        connection.exec_driver_sql(ADD, entries)
    set_reach(connection, WHOLE)


def forsake(connection: Connection) -> bool:
    """Give up what is indexed: `mend` is to make it anew, and until then it is not looked at.

    Returns False if nothing was indexed since the last time.
    """
    if reach_of(connection) == 0:
        return False
    set_reach(connection, 0)
    return True


def mend(connection: Connection) -> bool:
    """Make a part of a forsaken index; return whether it is whole.

    Each step is to be a transaction of its own.
    """
    reach = reach_of(connection)
    if reach == WHOLE:
        return True
    if reach == 0:
        if connection.exec_driver_sql(_TAKE_AWAY).rowcount:
            return False
        _renew(connection)
    entries = next(_entries(connection, reach), None)
    if entries is None:
        set_reach(connection, WHOLE)
        return True
    connection.exec_driver_sql(ADD, entries)
    set_reach(connection, entries[-1][0])
    return False


def _renew(connection: Connection) -> None:
    """Put an empty index in the place of one that may be malformed: FTS5 could not drop that."""
    if connection.exec_driver_sql(_EXISTS).scalar():
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
            memory.execute(CREATE[0])
            for name in _SHADOWS:
                # The names are those of the constant above; a parameter cannot stand for one.
                rows = memory.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608
                connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608
                if rows:
                    connection.exec_driver_sql(f"INSERT INTO {name} VALUES (?, ?)", rows)  # noqa: S608
    for name in ("search_words", "search"):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    create(connection)
    purged(connection)


def _entries(connection: Connection, after: int = 0) -> Iterator[list[tuple[int, str, str]]]:
    """Yield what the index should hold beyond a place, in their order, a batch at a time."""
    at = {"channel": after >> SEQ_BITS, "number": after & (1 << SEQ_BITS) - 1, "count": _FILL_BATCH}
    while rows := connection.execute(_MESSAGES, at).all():
        yield [entry_of(*row) for row in rows]
        at |= {"channel": rows[-1].channel_id, "number": rows[-1].seq}


def wrong_channels(connection: Connection) -> set[int]:
    """Return the ids of channels whose messages are indexed otherwise than they are written.

    As far as the index reaches; what is still to come is not wrong, nor is an index that another
    version of the program made.
    """
    reach = reach_of(connection)
    if reach == 0 or not is_current(connection):
        return set()
    indexed: Counter[int] = Counter()
    _sum_up(indexed, connection.exec_driver_sql(_WORDS))
    written: Counter[int] = Counter()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for statement in CREATE:
            memory.execute(statement).close()
        for entries in _entries(connection):
            memory.executemany(ADD, [each for each in entries if each[0] <= reach]).close()
            _sum_up(written, memory.execute(_WORDS))
            memory.execute("INSERT INTO search (search) VALUES ('delete-all')").close()
    return {each for each in indexed | written if indexed[each] != written[each]}


def _sum_up(sums: Counter[int], words: Iterable[Sequence[Any]]) -> None:
    """Add a number for each word at its place; few sums stand for any number of words."""
    for word in words:
        sums[word[1] >> SEQ_BITS] += hash(tuple(word)) & _SUM


def prepare(connection: Connection) -> None:
    """Make the index fit for this program and this SQLite, which may be others than the last ones.

    An index that another version made, or that SQLite cannot read, is forsaken.
    """
    if reach_of(connection) == 0:
        return
    if not is_current(connection):
        log.warning("the full-text index is of another version, and is made anew from the logs")
        forsake(connection)
        return
    rows = connection.exec_driver_sql("SELECT k, v FROM search_config")
    settings = {row.k: row.v for row in rows}
    if not is_secure():
        if settings.get("version") != _FORMAT:
            forsake(connection)
    elif not settings.get("secure-delete"):
        try:
            connection.exec_driver_sql(SECURE)
        except DBAPIError as exc:
            if not engine.is_of_index(exc.orig):
                raise
            forsake(connection)


MEND_EVERY = 60.0
"""Seconds between two beginnings: an index that is damaged again at once is not the cause."""
MEND_RETRY = 2.0
DAMAGED = (
    "the full-text index is damaged (%s). It is made anew from the logs, which hold all it held; "
    "messages are stored meanwhile, and whoever searches is asked to wait."
)


class IndexRebuild:
    """Knows whether the index has to be made anew, and makes it.

    Args:
        connect: returns the writer's connection, outside of a transaction.
        index: is told whenever the index comes to reach further, or not so far.
    """

    def __init__(self, connect: Callable[[], Connection], index: fts5.Changes) -> None:
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
        if not engine.is_of_index(error.orig):
            return False
        try:
            connection = self._connect()
            with connection.begin():
                if not forsake(connection):
                    return False  # the same damage still: to give it up again would change nothing
        except DBAPIError:
            return False
        log.error(DAMAGED, engine.reason_of(error))
        self._index.forget()
        now = time.monotonic()
        self.at, self._forsaken = max(now, self._forsaken + MEND_EVERY), now
        return True

    def step(self) -> None:
        """Make a part of the index, and decide when the next step is due."""
        try:
            connection = self._connect()
            with connection.begin():
                is_whole = mend(connection)
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
            log.error("the full-text index cannot be made anew: %s", engine.reason_of(error))
        self._is_failing = True
        self.at = time.monotonic() + MEND_RETRY
