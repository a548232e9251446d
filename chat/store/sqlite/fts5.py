"""The full-text index on SQLite's FTS5: how it is written, and what it finds.

- The id of a message's row in the index is its channel's id and its seq in one number. So the rows
  of one channel lie together in the list of each word, and a search walks only the lists of
  channels that its reader is in: others' messages cost it nothing and show in nothing, not even in
  its time.
- The index holds words and row ids, no texts. The words are those of `chat.tokenizer`: FTS5 is
  given them folded, and parts them at blanks only.
- A second column holds the author, whether there is a link, and the window of the channel, as words
  of their own. A search for several words asks for a window's word as well, so that it looks at no
  message outside of it.
- The *place* of the index is a row of `meta`: the id of an event. Messages and edits with this id
  or a lower one are indexed; later ones are indexed by `housekeeping`, in batches behind the
  commits, and until then a search reads their texts (`Lookup`). The text of an edit is indexed
  under the message that it changes.
- An erased text leaves the index in the transaction that erases it. SQLite 3.42 and later takes its
  words off the disk at once, an older one when `merge` has written the whole index anew; a row of
  `meta` remembers that it must.
- An index without a place is damaged, or another version of the program made it: it is not read,
  and `index_next` rebuilds it from the logs.
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
from chat.store.sql import Prepared, run_many
from chat.tokenizer import FORMAT, folded

__all__ = [
    "ADD",
    "BATCH",
    "CREATE",
    "MERGES_MAX",
    "PREFIXES",
    "SEQ_BITS",
    "Erased",
    "Lookup",
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
"""Letters of a word's beginning that have a list of their own."""
WINDOW = 1 << 14
"""Messages of a channel that are searched at once for several words."""
BATCH = 1_000
"""Messages that are indexed in one transaction."""
UNINDEXED_MAX = 5_000
"""Unindexed messages that a search looks through; with more of them it is refused."""
_PAGES_DROPPED = 500
"""Pages of an index without a place that one transaction deletes."""
_PAGES_MERGED = 64
"""Pages of the index that one step of a merge writes anew: sends wait no longer than that takes."""
MERGES_MAX = 900
"""Merges of one index: each leaves two empty levels in it, and FTS5 opens none with 2,000."""

_OPTIONS = f"tokenize='ascii', prefix='{' '.join(map(str, PREFIXES))}', content='', columnsize=0"
CREATE = (
    f"CREATE VIRTUAL TABLE search USING fts5(text, traits, {_OPTIONS})",
    "CREATE VIRTUAL TABLE search_words USING fts5vocab(search, instance)",
)
ADD = "INSERT INTO search (rowid, text, traits) VALUES (?, ?, ?)"
_REMOVE = "INSERT INTO search (search, rowid, text, traits) VALUES ('delete', ?, ?, ?)"
_SECURE = "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)"
_MERGE = "INSERT INTO search (search, rank) VALUES ('merge', ?)"
_TABLES = ("search_data", "search_idx", "search_config")
"""Tables in which FTS5 keeps the index."""
_DROP_PAGES = "DELETE FROM search_data WHERE id IN (SELECT id FROM search_data LIMIT ?)"
_of_message = func.coalesce(events.c.target, events.c.seq)


def _texts_after_place(*columns: ColumnElement[Any]) -> Prepared:
    """Return what finds the texts that messages have now, their own or of their latest edits."""
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
_PLACE = "search_place"
_FORMAT = "search_format"
_UNPURGED = "search_unpurged"
_MERGES = "search_merges"

Entry = tuple[int, str, str]
"""What `ADD` takes for a message: its row id, its words, its traits."""
Erased = tuple[int, int, int, int, str]
"""An erased text: the ids of its event and its channel, the message's seq, its author's id, it."""


def is_secure() -> bool:
    """Whether this SQLite takes words off the disk at once."""
    return sqlite3.sqlite_version_info >= _SECURE_SINCE


# Making it


def create(connection: Connection) -> None:
    """Create an empty index, as this SQLite does best."""
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
    """Put an empty index in the place of one that may be damaged."""
    # FTS5 cannot drop what it cannot open, so its tables get the rows of an empty index first.
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute(CREATE[0]).close()
        for name in _TABLES:
            # The names are those of the constant above; a parameter cannot stand for one.
            rows = memory.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608
            connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608
            if rows:
                run_many(connection, f"INSERT INTO {name} VALUES (?, ?)", rows)  # noqa: S608
    for name in ("search_words", "search"):
        connection.exec_driver_sql(f"DROP TABLE {name}")
    create(connection)
    purged(connection)
    _forget(connection, _MERGES)


# Its place


def place(connection: Connection) -> int | None:
    """Return the id of the last event that is indexed; None: the index is to be rebuilt."""
    found = _VALUE.scalar(connection, name=_PLACE)
    return None if found is None else int(found)


def invalidate(connection: Connection) -> bool:
    """Have the index rebuilt, and not read before; return False if that was so already."""
    if place(connection) is None:
        return False
    _forget(connection, _PLACE)
    return True


def is_current(connection: Connection) -> bool:
    """Whether the index is as this version of the program, with this SQLite, makes it."""
    return bool(_VALUE.scalar(connection, name=_FORMAT) == _format())


def _format() -> str:
    return f"{FORMAT} secure-delete" if is_secure() else FORMAT


# Writing


def index_next(connection: Connection) -> bool:
    """Index the next `BATCH` messages; return whether there are no more.

    Of an index without a place, some pages are deleted instead, until it is empty. Each call should
    be a transaction of its own: a short one, for commits wait meanwhile.
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
        # FTS5 wants row ids that rise within one transaction.
        run_many(connection, ADD, sorted(_entry(*row[1:]) for row in rows))
    is_all = len(rows) < BATCH
    _remember(connection, _PLACE, _NEWEST_EVENT.scalar(connection) if is_all else rows[-1][0])
    return is_all


def remove(connection: Connection, erased: Sequence[Erased]) -> None:
    """Take out messages as far as they are indexed, in the transaction that erases their texts."""
    reached = place(connection) or 0
    removed = sorted(_entry(*row[1:]) for row in erased if row[0] <= reached)
    if not removed:
        return
    run_many(connection, _REMOVE, removed)
    if not is_secure():
        _remember(connection, _UNPURGED, 1)


def entries(connection: Connection) -> Iterator[list[Entry]]:
    """Yield in batches what the index should hold up to its place."""
    reached, after = place(connection) or 0, 0
    while rows := _NEXT.all(connection, place=after, count=BATCH):
        yield [_entry(*row[1:]) for row in rows if row[0] <= reached]
        after = rows[-1][0]


def _entry(channel_id: int, seq: int, author_id: int, body: str) -> Entry:
    traits = f"a{author_id} {window_trait(channel_id, seq)}"
    if has_link(body):
        traits += " link"
    return _row_id(channel_id, seq), folded(body), traits


def _row_id(channel_id: int, seq: int) -> int:
    return channel_id << SEQ_BITS | seq


# Taking words off the disk, before SQLite 3.42


def is_purged(connection: Connection) -> bool:
    """Whether nothing that was taken out of the index is left in it."""
    return _VALUE.scalar(connection, name=_UNPURGED) is None


def purged(connection: Connection) -> None:
    """Note that nothing is left."""
    _forget(connection, _UNPURGED)


def needs_rebuild(connection: Connection) -> bool:
    """Whether the index was merged so often that FTS5 would soon refuse to open it."""
    return int(_VALUE.scalar(connection, name=_MERGES) or 0) >= MERGES_MAX


def merge(connection: Connection, *, is_first: bool) -> bool:
    """Write a part of the index anew, without what was taken out; return whether that was all.

    Each step is to be a transaction of its own. `is_first`: of the steps that end with True; what
    is taken out between them needs another round.
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


# Finding


class Lookup:
    """What one snapshot can find: by the index up to its place, and the messages beyond it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        reached = place(connection)
        self._has_index = reached is not None
        rows = _UNINDEXED.all(connection, place=reached or 0, count=UNINDEXED_MAX + 1)
        self.is_behind = len(rows) > UNINDEXED_MAX
        """Whether more messages are unindexed than a search can look through."""
        self._unindexed: dict[int, list[int]] = {}
        for channel_id, seq in rows:
            self._unindexed.setdefault(channel_id, []).append(seq)

    def look(
        self, expression: str, channel_id: int, low: int, high: int, count: int
    ) -> tuple[list[int], int]:
        """Return the newest messages of a channel that may match, and the lowest seq looked at.

        Of the messages from `low` to `high`, and about `count` of them at most. Those that are not
        indexed yet are all among them: their texts are still to be compared.
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


def window_trait(channel_id: int, seq: int) -> str:
    """Return the word that a message has in common with those near it in its channel."""
    return f"w{_row_id(channel_id, seq) // WINDOW}"


def window_start(seq: int) -> int:
    """Return the first number of the window that `seq` is in."""
    return max(1, seq - seq % WINDOW)


def seqs(
    connection: Connection, expression: str, channel_id: int, low: int, high: int, count: int
) -> list[int]:
    """Return the newest messages of a channel that match, of those from `low` to `high`."""
    return _SEQS.column(
        connection,
        query=expression,
        mask=_SEQ,
        first=_row_id(channel_id, low),
        last=_row_id(channel_id, high),
        count=count,
    )
