"""The full-text index: all that is SQLite's FTS5, in this one room.

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
- All of it can be had from the logs. One that is damaged, or that this SQLite cannot read, is
  forsaken: made anew in the order of places, a part at a time. Until it is whole, a row of `meta`
  says how far it reaches; changes of places beyond that are left to the part that comes to them.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, bindparam, delete, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from chat.core.words import apart
from chat.store import sqlite
from chat.store.prepared import Prepared, run_many
from chat.store.schema import meta, metadata

__all__ = [
    "PREFIXES",
    "TOKENIZER",
    "Changes",
    "create",
    "forsake",
    "has_link",
    "is_purged",
    "is_whole",
    "mend",
    "prepare",
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
_FORMAT = 4
"""What SQLite before that can read; newer ones make another of it."""
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
_SECURE = "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)"
_EXISTS = "SELECT 1 FROM sqlite_master WHERE name = 'search_data'"
_SHADOWS = ("search_data", "search_idx", "search_config")
"""Tables in which FTS5 keeps the index."""
_SOME = "SELECT id FROM search_data LIMIT 500"
"""Pages that one step of forsaking an index takes away."""
_SEQS = Prepared(
    text(
        "SELECT rowid & :mask FROM search WHERE search MATCH :query"
        " AND rowid BETWEEN :first AND :last ORDER BY rowid DESC LIMIT :count"
    )
)
_WORDS = "SELECT term, doc, col, offset FROM search_words"
_UNPURGED = "search_unpurged"
_REACH = "search_reach"
_ALL = (1 << 63) - 1
_VALUE = Prepared(select(meta.c.value).where(meta.c.key == bindparam("name")))
_REMOVE_VALUE = delete(meta).where(meta.c.key == bindparam("name"))
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
    """Create an empty index, as this SQLite does best."""
    for statement in _CREATE:
        connection.exec_driver_sql(statement)
    if _is_secure():
        connection.exec_driver_sql(_SECURE)


def rebuild(connection: Connection) -> None:
    """Index the log as it is now, all at once; what was indexed before is forgotten."""
    forsake(connection)
    _renew(connection)
    for entries in _entries(connection):
        connection.exec_driver_sql(_ADD, entries)
    _forget(connection, _REACH)


def forsake(connection: Connection) -> bool:
    """Give up what is indexed: `mend` is to make it anew, and until then it is not looked at.

    Returns False if nothing was indexed since the last time.
    """
    if _reach(connection) == 0:
        return False
    _remember(connection, _REACH, 0)
    return True


def is_whole(connection: Connection) -> bool:
    """Whether all messages can be found."""
    return _reach(connection) == _ALL


def mend(connection: Connection) -> bool:
    """Make a part of a forsaken index; return whether it is whole.

    Each step is to be a transaction of its own.
    """
    reach = _reach(connection)
    if reach == _ALL:
        return True
    if reach == 0:
        if connection.exec_driver_sql(_SOME).first():
            connection.exec_driver_sql(f"DELETE FROM search_data WHERE id IN ({_SOME})")  # noqa: S608  ours
            return False
        _renew(connection)
    entries = next(_entries(connection, reach), None)
    if entries is None:
        _forget(connection, _REACH)
        return True
    connection.exec_driver_sql(_ADD, entries)
    _remember(connection, _REACH, entries[-1][0])
    return False


def _reach(connection: Connection) -> int:
    """Return the last place that is indexed; 0: what is in the index is not to be looked at."""
    found = _VALUE.scalar(connection, name=_REACH)
    return _ALL if found is None else int(found)


def _renew(connection: Connection) -> None:
    """Put an empty index in the place of one that may be malformed: FTS5 could not drop that."""
    if connection.exec_driver_sql(_EXISTS).scalar():
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
            memory.execute(_CREATE[0])
            for name in _SHADOWS:
                rows = memory.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608  see above
                connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608
                if rows:
                    connection.exec_driver_sql(f"INSERT INTO {name} VALUES (?, ?)", rows)  # noqa: S608
    for name in ("search_words", "search"):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    create(connection)
    purged(connection)


def _entries(connection: Connection, after: int = 0) -> Iterator[list[tuple[int, str, str]]]:
    """Yield what the index should hold beyond a place, in their order, a batch at a time."""
    at = {"channel": after >> SEQ_BITS, "number": after & _SEQ, "count": _FILL_BATCH}
    while rows := connection.execute(_MESSAGES, at).all():
        yield [_entry(*row) for row in rows]
        at |= {"channel": rows[-1].channel_id, "number": rows[-1].seq}


def wrong_channels(connection: Connection) -> set[int]:
    """Return the ids of channels whose messages are indexed otherwise than they are written.

    As far as the index reaches; what is still to come is not wrong.
    """
    reach = _reach(connection)
    if reach == 0:
        return set()
    indexed: Counter[int] = Counter()
    _sum_up(indexed, connection.exec_driver_sql(_WORDS))
    written: Counter[int] = Counter()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for statement in _CREATE:
            memory.execute(statement).close()
        for entries in _entries(connection):
            memory.executemany(_ADD, [each for each in entries if each[0] <= reach]).close()
            _sum_up(written, memory.execute(_WORDS))
            memory.execute("INSERT INTO search (search) VALUES ('delete-all')").close()
    return {each for each in indexed | written if indexed[each] != written[each]}


def _sum_up(sums: Counter[int], words: Iterable[Sequence[Any]]) -> None:
    """Add a number for each word at its place; few sums stand for any number of words."""
    for word in words:
        sums[word[1] >> SEQ_BITS] += hash(tuple(word)) & _ALL


def prepare(connection: Connection) -> None:
    """Make the index fit for this SQLite, which may be older or newer than the last one.

    What it cannot read is forsaken.
    """
    if _reach(connection) == 0:
        return
    rows = connection.exec_driver_sql("SELECT k, v FROM search_config")
    settings = {row.k: row.v for row in rows}
    if not _is_secure():
        if settings.get("version") != _FORMAT:
            forsake(connection)
    elif not settings.get("secure-delete"):
        try:
            connection.exec_driver_sql(_SECURE)
        except DBAPIError as exc:
            if not sqlite.is_of_index(exc.orig):
                raise
            forsake(connection)


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
        self._reach: int | None = None

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
        """Change the index, as far as it reaches, in the transaction of `connection`."""
        if self._reach is None:
            self._reach = _reach(connection)
        added, removed = sorted(self._added.values()), sorted(self._removed)
        if self._reach != _ALL:
            added = [each for each in added if each[0] <= self._reach]
            removed = [each for each in removed if each[0] <= self._reach]
        if removed:
            run_many(connection, _REMOVE, removed)
            if not _is_secure():
                _remember(connection, _UNPURGED, 1)
        if added:
            run_many(connection, _ADD, added)
        self.clear()

    def clear(self) -> None:
        """Forget what was gathered."""
        self._added.clear()
        self._removed.clear()

    def forget(self) -> None:
        """Forget also how far the index reaches: it was forsaken or mended, or that undone."""
        self.clear()
        self._reach = None


# Taking off the disk


def is_purged(connection: Connection) -> bool:
    """Whether nothing that was taken out of the index is left in it."""
    return _VALUE.scalar(connection, name=_UNPURGED) is None


def purged(connection: Connection) -> None:
    """Note that nothing is left."""
    _forget(connection, _UNPURGED)


# What is remembered


def _remember(connection: Connection, name: str, value: int) -> None:
    _forget(connection, name)
    connection.execute(insert(meta), {"key": name, "value": str(value)})


def _forget(connection: Connection, name: str) -> None:
    connection.execute(_REMOVE_VALUE, {"name": name})


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
