"""How words that were taken out of the full-text index leave the disk before SQLite 3.42: merged.

Only a merge of the whole index writes them no more. It is done a part at a time. Each such merge
leaves two levels more in the index, most of them empty, and an index of 2,000 levels FTS5 takes for
malformed; so the empty ones are dropped in time. How levels are written down is told in SQLite's
`fts5_index.c`, under "Structure record".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain, islice

from sqlalchemy import Connection

__all__ = ["LEVELS_MAX", "drop_levels", "merge"]

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
