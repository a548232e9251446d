"""Compare the full-text index with the messages that it should contain, and rebuild it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from chat.store.sqlite import fts5
from chat.store.words import SEQ_BITS

__all__ = ["rebuild", "wrongly_indexed"]

_WORDS = "SELECT term, doc FROM search_words"
_SUM = (1 << 63) - 1


def wrongly_indexed(connection: Connection) -> set[int]:
    """Return the ids of channels whose index entries do not match their messages.

    Messages that are not indexed yet are ignored, and so is an index that is to be rebuilt.
    """
    if fts5.place(connection) is None or not fts5.is_current(connection):
        return set()
    indexed: Counter[int] = Counter()
    _sum_up(indexed, connection.exec_driver_sql(_WORDS))
    written: Counter[int] = Counter()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for statement in fts5.CREATE:
            memory.execute(statement).close()
        for entries in fts5.entries(connection):
            memory.executemany(fts5.ADD.sql(1), sorted(entries)).close()
            _sum_up(written, memory.execute(_WORDS))
            memory.execute("INSERT INTO search (search) VALUES ('delete-all')").close()
    return {each for each in indexed | written if indexed[each] != written[each]}


def rebuild(connection: Connection) -> None:
    """Rebuild the index in the transaction of `connection`."""
    fts5.reset(connection)
    while not fts5.index_next(connection):
        pass


def _sum_up(sums: Counter[int], words: Iterable[Sequence[Any]]) -> None:
    """Add the hash of each word of each message to the sum of its channel."""
    for word in words:
        sums[word[1] >> SEQ_BITS] += hash(tuple(word)) & _SUM
