"""The full-text all that is SQLite's FTS5, in this one room.

- A message's *place* in the index is its channel's id and its seq in one number. So the places of
  one channel lie together in the list of each word, and a search walks only the lists of channels
  that its reader is in: others' messages cost it nothing and show in nothing, not even in its time.
- The index holds words and places, no texts. It is written at the end of the transaction that
  changes a message, and so is true whenever anything is committed.
- A second column holds who wrote a message, whether it has a link, and which window of its channel
  it is in, as words of their own. A search for several words asks for a window's word as well, so
  that it looks at no message outside of it.
- What is taken out leaves the disk: at once where SQLite can do that (3.42), otherwise when `purge`
  has written the index anew, a part at a time. Until then a row of `meta` remembers that it must.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, bindparam, delete, event, insert, select, text

from chat.core.words import apart
from chat.store.prepared import Prepared, run_many
from chat.store.schema import meta, metadata

__all__ = [
    "PREFIXES",
    "TOKENIZER",
    "Changes",
    "create",
    "has_link",
    "is_purged",
    "prepare",
    "purge",
    "purged",
    "rebuild",
    "seqs",
    "window_start",
    "window_trait",
    "wrong_channels",
]

SEQ_BITS = 36
_SEQ = (1 << SEQ_BITS) - 1
_SECURE_SINCE = (3, 42, 0)
_SECURE_FORMAT = 5
"""What such an SQLite makes of the index; older ones cannot read it."""
TOKENIZER = 'tokenize="unicode61 remove_diacritics 2"'
PREFIXES = (3, 5)
"""Letters of a word's beginning that have a list of their own."""
WINDOW = 1 << 14
"""Messages of a channel that are searched at once for several words."""
_OPTIONS = f"{TOKENIZER}, prefix='{' '.join(map(str, PREFIXES))}', content='', columnsize=0"
_CREATE = (
    f"CREATE VIRTUAL TABLE search USING fts5(text, traits, {_OPTIONS})",
    "CREATE VIRTUAL TABLE search_words USING fts5vocab(search, instance)",
)
_ADD = "INSERT INTO search (rowid, text, traits) VALUES (?, ?, ?)"
_REMOVE = "INSERT INTO search (search, rowid, text, traits) VALUES ('delete', ?, ?, ?)"
_MERGE = "INSERT INTO search (search, rank) VALUES ('merge', ?)"
_PAGES = 64
"""Pages of the index that one step of a purge writes anew: sends wait no longer than that takes."""
LEVELS_MAX = 1_000
"""Levels of the index above which it is made anew as a whole, at the next purge. Before 3.42 each
merge of all leaves two levels more, most of them empty; with 2,000 FTS5 takes it for malformed."""
_EXISTS = "SELECT 1 FROM sqlite_master WHERE name = 'search_data'"
_STRUCTURE = "SELECT block FROM search_data WHERE id = 10"
_SEQS = Prepared(
    text(
        "SELECT rowid & :mask FROM search WHERE search MATCH :query"
        " AND rowid BETWEEN :first AND :last ORDER BY rowid DESC LIMIT :count"
    )
)
_WORDS = "SELECT term, doc, col, offset FROM search_words"
_SUM = (1 << 63) - 1
_UNPURGED = "search_unpurged"
_LINK = re.compile(r"\bhttps?://\S", re.IGNORECASE)
_FILL_BATCH = 1_000
_MESSAGES = text("""
    SELECT e.channel_id, e.seq, e.author_id, b.text
    FROM events e JOIN bodies b ON b.id = e.body_id
    WHERE (e.channel_id, e.seq) > (:channel, :number) AND e.kind = 'message' AND NOT e.erased
    ORDER BY e.channel_id, e.seq LIMIT :count""")


def has_link(body: str) -> bool:
    """Whether a message has a link that can be opened."""
    return "://" in body and _LINK.search(body) is not None


def _is_secure() -> bool:
    return sqlite3.sqlite_version_info >= _SECURE_SINCE


# Making it


def create(connection: Connection) -> None:
    """Create an empty index."""
    for statement in _CREATE:
        connection.exec_driver_sql(statement)


def rebuild(connection: Connection) -> None:
    """Index the log as it is now, a batch at a time; what was indexed before is forgotten."""
    _empty(connection)
    for name in ("search_words", "search"):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    create(connection)
    for entries in _entries(connection):
        connection.exec_driver_sql(_ADD, entries)


def _empty(connection: Connection) -> None:
    """Make the index an empty one, also one that is malformed: FTS5 could not even drop that."""
    if not connection.exec_driver_sql(_EXISTS).scalar():
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute(_CREATE[0])
        rows = memory.execute("SELECT id, block FROM search_data").fetchall()
    for table in ("search_idx", "search_data"):
        connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  the names are FTS5's
    connection.exec_driver_sql("INSERT INTO search_data VALUES (?, ?)", rows)


def _entries(connection: Connection) -> Iterator[list[tuple[int, str, str]]]:
    """Yield what the index should hold, in the order of places, a batch at a time."""
    at = {"channel": 0, "number": 0, "count": _FILL_BATCH}
    while rows := connection.execute(_MESSAGES, at).all():
        yield [_entry(*row) for row in rows]
        at |= {"channel": rows[-1].channel_id, "number": rows[-1].seq}


def wrong_channels(connection: Connection) -> set[int]:
    """Return the ids of channels whose messages are indexed otherwise than they are written."""
    indexed: Counter[int] = Counter()
    _sum_up(indexed, connection.exec_driver_sql(_WORDS))
    written: Counter[int] = Counter()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for statement in _CREATE:
            memory.execute(statement).close()
        for entries in _entries(connection):
            memory.executemany(_ADD, entries).close()
            _sum_up(written, memory.execute(_WORDS))
            memory.execute("INSERT INTO search (search) VALUES ('delete-all')").close()
    return {each for each in indexed | written if indexed[each] != written[each]}


def _sum_up(sums: Counter[int], words: Iterable[Sequence[Any]]) -> None:
    """Add a number for each word at its place; few sums stand for any number of words."""
    for word in words:
        sums[word[1] >> SEQ_BITS] += hash(tuple(word)) & _SUM


def prepare(connection: Connection) -> None:
    """Make the index fit for this SQLite, which may be older or newer than the last one."""
    rows = connection.exec_driver_sql("SELECT k, v FROM search_config")
    settings = {row.k: row.v for row in rows}
    if _is_secure():
        if not settings.get("secure-delete"):
            connection.exec_driver_sql(
                "INSERT INTO search(search, rank) VALUES('secure-delete', 1)"
            )
    elif settings["version"] == _SECURE_FORMAT:
        connection.exec_driver_sql("UPDATE search_config SET v = 4 WHERE k = 'version'")
        rebuild(connection)


@event.listens_for(metadata, "after_create")
def _create_with_tables(_metadata: object, connection: Connection, **_options: object) -> None:
    create(connection)


# Writing


def _place(channel_id: int, seq: int) -> int:
    return channel_id << SEQ_BITS | seq


def _entry(channel_id: int, seq: int, author_id: int, body: str) -> tuple[int, str, str]:
    traits = f"a{author_id} {window_trait(channel_id, seq)}"
    if has_link(body):
        traits += " link"
    return _place(channel_id, seq), apart(body), traits


class Changes:
    """What one transaction changes in the index: gathered, then written at its end.

    At the end, for within one transaction FTS5 wants places that rise, and what comes and goes in
    it need not be written at all.
    """

    def __init__(self) -> None:
        self._added: dict[int, tuple[int, str, str]] = {}
        self._removed: list[tuple[int, str, str]] = []

    def add(self, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """Have a message found by its text."""
        entry = _entry(channel_id, seq, author_id, body)
        self._added[entry[0]] = entry

    def remove(self, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """Have a message not found any more by `body`, the text it was added with."""
        entry = _entry(channel_id, seq, author_id, body)
        if self._added.pop(entry[0], None) is None:
            self._removed.append(entry)

    def write(self, connection: Connection) -> None:
        """Change the index, in the transaction of `connection`."""
        if self._removed:
            run_many(connection, _REMOVE, sorted(self._removed))
            if not _is_secure():
                _remember(connection)
        if self._added:
            run_many(connection, _ADD, sorted(self._added.values()))
        self.clear()

    def clear(self) -> None:
        """Forget what was gathered."""
        self._added.clear()
        self._removed.clear()


# Taking off the disk


def _remember(connection: Connection) -> None:
    purged(connection)
    connection.execute(insert(meta), {"key": _UNPURGED, "value": "1"})


def is_purged(connection: Connection) -> bool:
    """Whether nothing that was taken out of the index is left in it."""
    return connection.scalar(select(meta.c.key).where(meta.c.key == _UNPURGED)) is None


def purge(connection: Connection, *, is_first: bool) -> bool:
    """Write a part of the index anew, without what was taken out; return whether that was all.

    Each step is to be a transaction of its own. `is_first`: of the steps that end with True; what
    is taken out between them needs another round.
    """
    if is_first and _levels(connection) > LEVELS_MAX:
        rebuild(connection)
        return True
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    before = driver.total_changes
    connection.exec_driver_sql(_MERGE, (-_PAGES if is_first else _PAGES,))
    return driver.total_changes - before < 2


def _levels(connection: Connection) -> int:
    """Return how many levels the index has: the first number after a cookie of four bytes."""
    structure: bytes = connection.exec_driver_sql(_STRUCTURE).scalar_one()
    levels = 0
    for byte in structure[4:]:
        levels = levels << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return levels


def purged(connection: Connection) -> None:
    """Note that nothing is left."""
    connection.execute(delete(meta).where(meta.c.key == bindparam("name")), {"name": _UNPURGED})


# Finding


def window_trait(channel_id: int, seq: int) -> str:
    """Return the word that a message has in common with those near it in its channel."""
    return f"w{_place(channel_id, seq) // WINDOW}"


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
        first=_place(channel_id, low),
        last=_place(channel_id, high),
        count=count,
    )
