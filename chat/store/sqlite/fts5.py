"""The full-text index, on SQLite's FTS5.

- The row id of a message in the index combines its channel's id and its seq. The rows of a channel
  are therefore adjacent in the list of each word, and a search reads only the channels of its user:
  messages of other channels affect neither its results nor its duration.
- The index holds words and row ids, no texts and no positions of words: phrases are compared with
  the texts. The words (`chat.store.words`) come folded, and FTS5 splits at blanks only.
- The *place* of the index, a row of `meta`, is the id of an event. Messages and edits up to this id
  are indexed. `housekeeping` indexes later ones in batches after the commits; until then a search
  reads their texts (`Lookup`). The text of an edit is indexed under the message that it changes.
- A text is removed from the index in the transaction that erases it. SQLite 3.42 and later deletes
  its words from the disk at once, older versions after `merge` has rewritten the whole index; a row
  of `meta` records that this is pending.
- An index without a place is damaged or from another version of the program: it is not read, and
  `index_next` rebuilds it from the logs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
)

from chat.store.schema import events, folds, is_unerased, meta
from chat.store.sql import Bulk, Prepared, run_many
from chat.store.words import PREFIXES, SEQ_BITS, Word, row_id, window_trait, words_of
from chat.tokenizer import FORMAT

__all__ = [
    "ADD",
    "BATCH",
    "CREATE",
    "MERGES_MAX",
    "IndexChanges",
    "Lookup",
    "create",
    "entries",
    "index_next",
    "invalidate",
    "is_created",
    "is_current",
    "is_purged",
    "merge",
    "needs_rebuild",
    "newest_event",
    "place",
    "purged",
    "reset",
    "seqs",
]

_SEQ = (1 << SEQ_BITS) - 1
_SECURE_SINCE = (3, 42, 0)
BATCH = 1_000
"""Messages indexed in one transaction."""
UNINDEXED_MAX = 5_000
"""Most unindexed messages that a search reads; with more, it is refused."""
_PAGES_DROPPED = 500
"""Pages of an invalid index deleted in one transaction."""
_PAGES_MERGED = 64
"""Pages of the index rewritten in one step of a merge; sends wait for the step."""
MERGES_MAX = 900
"""Most merges of an index: each leaves two empty levels, and FTS5 cannot open one with 2,000."""

_PREFIXES = " ".join(map(str, PREFIXES))
CREATE = (
    "CREATE VIRTUAL TABLE search USING fts5(words, tokenize='ascii', content='', columnsize=0,"
    f" detail=none, prefix='{_PREFIXES}')",
    "CREATE VIRTUAL TABLE search_words USING fts5vocab(search, instance)",
)
ADD = Bulk("INSERT INTO search (rowid, words) VALUES", "(?, ?)")
_REMOVE = "INSERT INTO search (search, rowid, words) VALUES ('delete', ?, ?)"
_SECURE = "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)"
_MERGE = "INSERT INTO search (search, rank) VALUES ('merge', ?)"
_TABLES = ("search_data", "search_idx", "search_config")
"""Tables of the FTS5 index."""
_DROP_PAGES = "DELETE FROM search_data WHERE id IN (SELECT id FROM search_data LIMIT ?)"
_of_message = func.coalesce(events.c.target, events.c.seq)


def _texts_after_place(*columns: ColumnElement[Any]) -> Prepared:
    """Return a query for the current texts of messages, original or edited, after the place."""
    return Prepared(
        select(*columns)
        .outerjoin_from(events, folds, folds.c.event_id == events.c.id)
        .where(
            events.c.id > bindparam("place"),
            or_(is_unerased("message"), is_unerased("edit")),
            folds.c.edit_id.is_(None),
            events.c.text.is_not(None),
        )
        .order_by(events.c.id)
        .limit(bindparam("count", type_=events.c.seq.type))
    )


_NEXT = _texts_after_place(
    events.c.id, events.c.channel_id, _of_message, events.c.author_id, events.c.text
)
_UNINDEXED = _texts_after_place(events.c.channel_id, _of_message)
_NEWEST_EVENT = Prepared(select(func.coalesce(func.max(events.c.id), 0)))
_SEQS = Prepared(
    text(
        "SELECT rowid & :mask FROM search WHERE search MATCH :query"
        " AND rowid BETWEEN :first AND :last ORDER BY rowid DESC LIMIT :count"
    )
)
_TABLE = Prepared(text("SELECT 1 FROM sqlite_schema WHERE name = 'search'"))
_VALUE = Prepared(select(meta.c.value).where(meta.c.key == bindparam("name")))
_REMOVE_VALUE = Prepared(delete(meta).where(meta.c.key == bindparam("name")))
_ADD_VALUE = Prepared(insert(meta))
_LAYOUT = 2
"""Version of the tables and the traits; an index with another one is rebuilt."""
_PLACE = "search_place"
_FORMAT = "search_format"
_UNPURGED = "search_unpurged"
_MERGES = "search_merges"

Entry = tuple[int, str]
"""A row of `ADD`: row id, words."""


def is_secure() -> bool:
    """Whether this SQLite version deletes words from the disk at once."""
    return sqlite3.sqlite_version_info >= _SECURE_SINCE


# Creation


def create(connection: Connection) -> None:
    """Create an empty index with the options that this SQLite version supports."""
    for statement in CREATE:
        connection.exec_driver_sql(statement)
    if is_secure():
        connection.exec_driver_sql(_SECURE)
    _remember(connection, _FORMAT, _format())
    _remember(connection, _PLACE, 0)


def is_created(connection: Connection) -> bool:
    """Whether the database has an index."""
    return _TABLE.first(connection) is not None


def reset(connection: Connection) -> None:
    """Replace an index, which may be damaged, with an empty one."""
    # FTS5 cannot drop an index that it cannot open, so first copy an empty one into its tables.
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute(CREATE[0]).close()
        for name in _TABLES:
            # The names come from the constant above; SQL has no parameters for names.
            rows = memory.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608
            connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608
            if rows:
                run_many(connection, f"INSERT INTO {name} VALUES (?, ?)", rows)  # noqa: S608
    for name in ("search_words", "search"):
        connection.exec_driver_sql(f"DROP TABLE {name}")
    create(connection)
    purged(connection)
    _forget(connection, _MERGES)


# Place


def place(connection: Connection) -> int | None:
    """Return the id of the last indexed event, or None if the index is to be rebuilt."""
    found = _VALUE.scalar(connection, name=_PLACE)
    return None if found is None else int(found)


def invalidate(connection: Connection) -> bool:
    """Mark the index to be rebuilt; return False if it was marked already."""
    if place(connection) is None:
        return False
    _forget(connection, _PLACE)
    return True


def is_current(connection: Connection) -> bool:
    """Whether the index has the format of this version of the program and of SQLite."""
    return bool(_VALUE.scalar(connection, name=_FORMAT) == _format())


def _format() -> str:
    written = f"{_LAYOUT}/{FORMAT}"
    return f"{written} secure-delete" if is_secure() else written


# Writing


def newest_event(connection: Connection) -> int:
    """Return the id of the newest event; 0 if there is none."""
    return int(_NEWEST_EVENT.scalar(connection))


def index_next(connection: Connection) -> bool:
    """Index the next `BATCH` messages; return whether all are indexed.

    If the index is to be rebuilt, delete some of its pages instead until it is empty. Commits wait
    for each call, so run it in its own, short transaction.
    """
    reached = place(connection)
    if reached is None:
        dropped = connection.exec_driver_sql(_DROP_PAGES, (_PAGES_DROPPED,)).rowcount
        if dropped == _PAGES_DROPPED:
            return False
        reset(connection)
        reached = 0
    rows = _NEXT.all(connection, place=reached, count=BATCH)
    if rows:
        # FTS5 requires ascending row ids within a transaction.
        ADD.run(connection, sorted(_entry(*row[1:]) for row in rows))
    is_all = len(rows) < BATCH
    _remember(connection, _PLACE, _NEWEST_EVENT.scalar(connection) if is_all else rows[-1][0])
    return is_all


class IndexChanges:
    """See `backend.IndexChanges`."""

    def __init__(self) -> None:
        self._erased: list[tuple[int, int, int, int, str]] = []

    def add(self, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """Do nothing: `index_next` finds the message."""

    def remove(self, event_id: int, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """See `backend.IndexChanges`."""
        self._erased.append((event_id, channel_id, seq, author_id, body))

    def save(self, connection: Connection) -> None:
        """See `backend.IndexChanges`."""
        if not self._erased:
            return
        reached = place(connection) or 0
        removed = sorted(_entry(*row[1:]) for row in self._erased if row[0] <= reached)
        if not removed:
            return
        run_many(connection, _REMOVE, removed)
        if not is_secure():
            _remember(connection, _UNPURGED, 1)

    def clear(self) -> None:
        """See `backend.IndexChanges`."""
        self._erased.clear()


def entries(connection: Connection) -> Iterator[list[Entry]]:
    """Yield in batches the entries that the index should hold up to its place."""
    reached, after = place(connection) or 0, 0
    while rows := _NEXT.all(connection, place=after, count=BATCH):
        yield [_entry(*row[1:]) for row in rows if row[0] <= reached]
        after = rows[-1][0]


def _entry(channel_id: int, seq: int, author_id: int, body: str) -> Entry:
    return row_id(channel_id, seq), words_of(channel_id, seq, author_id, body)


# Purging words from the disk, before SQLite 3.42


def is_purged(connection: Connection) -> bool:
    """Whether no removed words are left in the index."""
    return _VALUE.scalar(connection, name=_UNPURGED) is None


def purged(connection: Connection) -> None:
    """Record that no removed words are left."""
    _forget(connection, _UNPURGED)


def needs_rebuild(connection: Connection) -> bool:
    """Whether so many merges have run that FTS5 could soon not open the index."""
    return int(_VALUE.scalar(connection, name=_MERGES) or 0) >= MERGES_MAX


def merge(connection: Connection, *, is_first: bool) -> bool:
    """Rewrite a part of the index without removed words; return whether the merge is complete.

    Run each step in its own transaction. `is_first` starts a merge. Words removed during a merge
    need another one.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    if is_first:
        _remember(connection, _MERGES, int(_VALUE.scalar(connection, name=_MERGES) or 0) + 1)
    before = driver.total_changes
    connection.exec_driver_sql(_MERGE, (-_PAGES_MERGED if is_first else _PAGES_MERGED,))
    return driver.total_changes - before < 2


def _remember(connection: Connection, name: str, value: int | str) -> None:
    _forget(connection, name)
    _ADD_VALUE.run(connection, key=name, value=str(value))


def _forget(connection: Connection, name: str) -> None:
    _REMOVE_VALUE.run(connection, name=name)


# Queries


class Lookup:
    """See `backend.Lookup`: through the index up to its place, and unindexed messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        reached = place(connection)
        self._has_index = reached is not None
        rows = _UNINDEXED.all(connection, place=reached or 0, count=UNINDEXED_MAX + 1)
        self.is_behind = len(rows) > UNINDEXED_MAX
        """Whether there are more unindexed messages than a search may read."""
        self._unindexed: dict[int, list[int]] = {}
        for channel_id, seq in rows:
            self._unindexed.setdefault(channel_id, []).append(seq)

    def is_windowed(self, words: Sequence[Word]) -> bool:
        """See `backend.Lookup`: FTS5 can start reading the list of one word at any row id."""
        return len(words) > 1

    def look(
        self, words: Sequence[Word], channel_id: int, low: int, high: int, count: int
    ) -> tuple[list[int], int]:
        """See `backend.Lookup`; the candidates include all unindexed messages."""
        found: list[int] = []
        if self._has_index:
            expression = _expression(words, channel_id, high)
            found = seqs(self._connection, expression, channel_id, low, high, count)
            if len(found) == count:
                low = found[-1]
        if unindexed := self._unindexed.get(channel_id):
            found += [seq for seq in unindexed if low <= seq <= high]
            found.sort(reverse=True)
        return found, low


def _expression(words: Sequence[Word], channel_id: int, seq: int) -> str:
    """Return the FTS5 query for several words, limited to the window of `seq`, or for one word."""
    parts = [f'"{word.text}"*' if word.is_prefix else f'"{word.text}"' for word in words]
    if len(parts) > 1:
        # First, so that FTS5 reads the other lists only within the window.
        parts.insert(0, f'"{window_trait(channel_id, seq)}"')
    return " AND ".join(parts)


def seqs(
    connection: Connection, expression: str, channel_id: int, low: int, high: int, count: int
) -> list[int]:
    """Return the newest matching messages of a channel from `low` to `high`."""
    return _SEQS.column(
        connection,
        query=expression,
        mask=_SEQ,
        first=row_id(channel_id, low),
        last=row_id(channel_id, high),
        count=count,
    )
