"""The full-text index, on SQLite's FTS5.

- The row id of a message in the index combines its channel's id and its seq. The rows of a channel
  are therefore adjacent in the list of each word, and a search reads only the channels of its user:
  messages of other channels affect neither its results nor its duration.
- The index holds words and row ids, no texts and no positions of words: phrases are compared with
  the texts. The words come from `chat.tokenizer`: FTS5 receives them folded and splits at blanks
  only.
- The traits of a message are further words: its author, a flag for links, and the window of the
  channel. They begin with a sign that no word of a text contains. A search for several words
  adds the word of a window, which limits it to that window.
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
    event,
    func,
    insert,
    or_,
    select,
    text,
)

from chat.links import has_link
from chat.store.schema import events, folds, is_unerased, meta, metadata
from chat.store.sql import Bulk, Prepared, run_many
from chat.tokenizer import FORMAT, folded

__all__ = [
    "ADD",
    "BATCH",
    "CREATE",
    "LINK_TRAIT",
    "MERGES_MAX",
    "PREFIXES",
    "SEQ_BITS",
    "Erased",
    "Lookup",
    "author_trait",
    "create",
    "entries",
    "index_next",
    "invalidate",
    "is_current",
    "is_purged",
    "merge",
    "needs_rebuild",
    "place",
    "purged",
    "remove",
    "reset",
    "seqs",
    "window_start",
    "window_trait",
]

SEQ_BITS = 36
_SEQ = (1 << SEQ_BITS) - 1
_SECURE_SINCE = (3, 42, 0)
PREFIXES = (3, 5)
"""Lengths of indexed prefixes, in characters."""
WINDOW = 1 << 14
"""Messages of a channel per window, for searches with several words."""
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

_TRAIT = "·"
"""The first character of a trait: FTS5's tokenizer accepts it as a letter, `folded` does not."""
LINK_TRAIT = f"{_TRAIT}link"

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
Erased = tuple[int, int, int, int, str]
"""An erased text: ids of its event and channel, seq and author id of the message, the text."""


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


@event.listens_for(metadata, "after_create")
def _create_with_tables(_metadata: object, connection: Connection, **_options: object) -> None:
    create(connection)


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


def remove(connection: Connection, erased: Sequence[Erased]) -> None:
    """Remove indexed messages, in the transaction that erases their texts."""
    reached = place(connection) or 0
    removed = sorted(_entry(*row[1:]) for row in erased if row[0] <= reached)
    if not removed:
        return
    run_many(connection, _REMOVE, removed)
    if not is_secure():
        _remember(connection, _UNPURGED, 1)


def entries(connection: Connection) -> Iterator[list[Entry]]:
    """Yield in batches the entries that the index should hold up to its place."""
    reached, after = place(connection) or 0, 0
    while rows := _NEXT.all(connection, place=after, count=BATCH):
        yield [_entry(*row[1:]) for row in rows if row[0] <= reached]
        after = rows[-1][0]


def _entry(channel_id: int, seq: int, author_id: int, body: str) -> Entry:
    words = f"{folded(body)} {author_trait(author_id)} {window_trait(channel_id, seq)}"
    if has_link(body):
        words += f" {LINK_TRAIT}"
    return _row_id(channel_id, seq), words


def _row_id(channel_id: int, seq: int) -> int:
    return channel_id << SEQ_BITS | seq


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
    """Finds messages in a snapshot: through the index up to its place, and unindexed ones."""

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

    def look(
        self, expression: str, channel_id: int, low: int, high: int, count: int
    ) -> tuple[list[int], int]:
        """Return the newest candidates in a channel, and the lowest seq that was searched.

        At most about `count` messages from `low` to `high`. They include all unindexed messages, so
        the caller must compare the texts.
        """
        found: list[int] = []
        if self._has_index:
            found = seqs(self._connection, expression, channel_id, low, high, count)
            if len(found) == count:
                low = found[-1]
        if unindexed := self._unindexed.get(channel_id):
            found += [seq for seq in unindexed if low <= seq <= high]
            found.sort(reverse=True)
        return found, low


def author_trait(author_id: int) -> str:
    """Return the word of the author."""
    return f"{_TRAIT}a{author_id}"


def window_trait(channel_id: int, seq: int) -> str:
    """Return the word of the window that contains `seq`."""
    return f"{_TRAIT}w{_row_id(channel_id, seq) // WINDOW}"


def window_start(seq: int) -> int:
    """Return the first seq of the window that contains `seq`."""
    return max(1, seq - seq % WINDOW)


def seqs(
    connection: Connection, expression: str, channel_id: int, low: int, high: int, count: int
) -> list[int]:
    """Return the newest matching messages of a channel from `low` to `high`."""
    return _SEQS.column(
        connection,
        query=expression,
        mask=_SEQ,
        first=_row_id(channel_id, low),
        last=_row_id(channel_id, high),
        count=count,
    )
