"""The full-text index on SQLite's FTS5.

Only a merge of the whole index writes them no more. It is done a part at a time. Each such merge
leaves two levels more in the index, most of them empty, and an index of 2,000 levels FTS5 takes for
malformed; so the empty ones are dropped in time. How levels are written down is told in SQLite's
`fts5_index.c`, under "Structure record".

- A message's *place* in the index is its channel's id and its seq in one number. So the places of
  one channel lie together in the list of each word, and a search walks only the lists of channels
  that its reader is in: others' messages cost it nothing and show in nothing, not even in its time.
- The index holds words and places, no texts. The words are those of `chat.tokenizer`: FTS5 is given
  them folded, and parts them at blanks only. It is written at the end of the transaction that
  changes a message, and so is true whenever anything is committed.
- A second column holds who wrote a message, whether it has a link, and which window of its channel
  it is in, as words of their own. A search for several words asks for a window's word as well, so
  that it looks at no message outside of it.
- What is taken out leaves the disk: at once where SQLite can do that (3.42), otherwise when `purge`
  has written the index anew, a part at a time. Until then a row of `meta` remembers that it must.
- All of it can be had from the logs (`rebuild`). Until an index that is made anew is whole, a row
  of `meta` says how far it reaches; changes of places beyond that are left to who makes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain, islice

from sqlalchemy import Connection, bindparam, delete, event, insert, select, text

from chat.links import has_link
from chat.store.schema import meta, metadata
from chat.store.sql import Prepared, run_many
from chat.tokenizer import FORMAT, folded

__all__ = [
    "ADD",
    "CREATE",
    "LEVELS_MAX",
    "PREFIXES",
    "SECURE",
    "SEQ_BITS",
    "WHOLE",
    "Changes",
    "create",
    "drop_levels",
    "entry_of",
    "is_current",
    "is_purged",
    "is_secure",
    "is_whole",
    "merge",
    "purged",
    "reach_of",
    "seqs",
    "set_reach",
    "window_start",
    "window_trait",
]


LEVELS_MAX = 1_000
"""Levels above which the empty ones are dropped, before the next merge."""
_PAGES = 64
"""Pages of the index that one step of a merge writes anew: sends wait no longer than that takes."""
_MERGE = "INSERT INTO search (search, rank) VALUES ('merge', ?)"
_STRUCTURE = "SELECT CAST(block AS BLOB) FROM search_data WHERE id = 10"
_SET_STRUCTURE = "UPDATE search_data SET block = ? WHERE id = 10"


def merge(connection: Connection, *, is_first: bool) -> bool:
    """Write a part of the index anew, without what was taken out; return whether that was all.

    Each step is to be a transaction of its own. `is_first`: of the steps that end with True; what
    is taken out between them needs another round.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    before = driver.total_changes
    connection.exec_driver_sql(_MERGE, (-_PAGES if is_first else _PAGES,))
    return driver.total_changes - before < 2


def drop_levels(connection: Connection) -> bool:
    """Drop the empty levels of the index if they are many; return whether they were.

    The others' order says which part of the index is newer, and stays. FTS5 keeps the levels in
    memory: after the commit this connection must not be used any more.
    """
    structure: bytes = connection.exec_driver_sql(_STRUCTURE).scalar() or b""
    cookie, numbers = structure[:4], _numbers(structure[4:])
    count, segments, writes = (next(numbers, 0) for _ in range(3))
    levels: list[list[int]] = []
    while (merging := next(numbers, None)) is not None:
        size = next(numbers, 0)
        levels.append([merging, size, *islice(numbers, 3 * size)])
    is_sound = len(levels) == count and sum(size for _, size, *_ in levels) == segments
    if count <= LEVELS_MAX or not is_sound:  # FTS5 is to find out what is wrong with it
        return False
    kept = [level for level in levels if level[1]]
    record = [len(kept), segments, writes, *chain.from_iterable(kept)]
    connection.exec_driver_sql(_SET_STRUCTURE, (cookie + b"".join(map(_varint, record)),))
    return True


def _numbers(data: bytes) -> Iterator[int]:
    """Yield numbers as SQLite writes them: seven bits in a byte, high ones first."""
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            yield number
            number = 0


def _varint(number: int) -> bytes:
    written = [number & 0x7F]
    while number := number >> 7:
        written.append(number & 0x7F | 0x80)
    return bytes(reversed(written))


SEQ_BITS = 36
_SEQ = (1 << SEQ_BITS) - 1
_SECURE_SINCE = (3, 42, 0)
PREFIXES = (3, 5)
"""Letters of a word's beginning that have a list of their own."""
WINDOW = 1 << 14
"""Messages of a channel that are searched at once for several words."""
_OPTIONS = f"tokenize='ascii', prefix='{' '.join(map(str, PREFIXES))}', content='', columnsize=0"
CREATE = (
    f"CREATE VIRTUAL TABLE search USING fts5(text, traits, {_OPTIONS})",
    "CREATE VIRTUAL TABLE search_words USING fts5vocab(search, instance)",
)
ADD = "INSERT INTO search (rowid, text, traits) VALUES (?, ?, ?)"
_REMOVE = "INSERT INTO search (search, rowid, text, traits) VALUES ('delete', ?, ?, ?)"
SECURE = "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)"
_SEQS = Prepared(
    text(
        "SELECT rowid & :mask FROM search WHERE search MATCH :query"
        " AND rowid BETWEEN :first AND :last ORDER BY rowid DESC LIMIT :count"
    )
)
_UNPURGED = "search_unpurged"
_REACH = "search_reach"
_FORMAT = "search_format"
WHOLE = (1 << 63) - 1
"""How far an index reaches that has everything."""
_VALUE = Prepared(select(meta.c.value).where(meta.c.key == bindparam("name")))
_REMOVE_VALUE = delete(meta).where(meta.c.key == bindparam("name"))


def is_secure() -> bool:
    """Whether this SQLite takes words off the disk at once."""
    return sqlite3.sqlite_version_info >= _SECURE_SINCE


# Making it


def create(connection: Connection) -> None:
    """Create an empty index, as this SQLite does best."""
    for statement in CREATE:
        connection.exec_driver_sql(statement)
    if is_secure():
        connection.exec_driver_sql(SECURE)
    _remember(connection, _FORMAT, FORMAT)


@event.listens_for(metadata, "after_create")
def _create_with_tables(_metadata: object, connection: Connection, **_options: object) -> None:
    create(connection)


# Writing


def _place(channel_id: int, seq: int) -> int:
    return channel_id << SEQ_BITS | seq


def entry_of(channel_id: int, seq: int, author_id: int, body: str) -> tuple[int, str, str]:
    """Return what `ADD` takes for a message: its place, its words, its traits."""
    traits = f"a{author_id} {window_trait(channel_id, seq)}"
    if has_link(body):
        traits += " link"
    return _place(channel_id, seq), folded(body), traits


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
        entry = entry_of(channel_id, seq, author_id, body)
        self._added[entry[0]] = entry

    def remove(self, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """Have a message not found any more by `body`, the text it was added with."""
        entry = entry_of(channel_id, seq, author_id, body)
        if self._added.pop(entry[0], None) is None:
            self._removed.append(entry)

    def write(self, connection: Connection) -> None:
        """Change the index, as far as it reaches, in the transaction of `connection`."""
        if self._reach is None:
            self._reach = reach_of(connection)
        added, removed = sorted(self._added.values()), sorted(self._removed)
        if self._reach != WHOLE:
            added = [each for each in added if each[0] <= self._reach]
            removed = [each for each in removed if each[0] <= self._reach]
        if removed:
            run_many(connection, _REMOVE, removed)
            if not is_secure():
                _remember(connection, _UNPURGED, 1)
        if added:
            run_many(connection, ADD, added)
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


def reach_of(connection: Connection) -> int:
    """Return the last place that is indexed; 0: what is in the index is not to be looked at."""
    found = _VALUE.scalar(connection, name=_REACH)
    return WHOLE if found is None else int(found)


def set_reach(connection: Connection, place: int) -> None:
    """Note up to which place the index holds what it should; `WHOLE`: all of it."""
    if place == WHOLE:
        _forget(connection, _REACH)
    else:
        _remember(connection, _REACH, place)


def is_current(connection: Connection) -> bool:
    """Whether the index was made as this version of the program makes it."""
    return bool(_VALUE.scalar(connection, name=_FORMAT) == FORMAT)


def is_whole(connection: Connection) -> bool:
    """Whether all messages can be found."""
    return reach_of(connection) == WHOLE


def _remember(connection: Connection, name: str, value: int | str) -> None:
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
