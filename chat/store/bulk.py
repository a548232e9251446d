"""Inserting many rows fast: SQLAlchemy writes the statement once, the driver takes the values.

For hundreds of small rows the checks and dictionaries that `Connection.execute` makes of each cost
as much as the insertion itself. And the driver lets other threads run before and after each step,
so rows go in by many to a step: the fewer, the less often the writer waits for its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, insert

from chat.store.prepared import run_driver

__all__ = ["BulkInsert"]

STEP = 256
"""Most rows of one step; SQLite takes 32,766 values. Smaller steps are powers of two, so that
there are few different statements to prepare."""


class BulkInsert:
    """Inserts rows that give all columns of `table`, in the table's order."""

    def __init__(self, table: Table) -> None:
        self._columns = [column.name for column in table.columns]
        self._insert = insert(table)
        self._compiled: tuple[object, str] = (None, "")

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert `rows`, of which there must be at least one."""
        dialect, statement = self._compiled
        if dialect is not connection.dialect:
            statement = str(
                self._insert.compile(dialect=connection.dialect, column_keys=self._columns)
            )
            self._compiled = connection.dialect, statement
        head, _, places = statement.rpartition(" VALUES ")
        at = 0
        while left := len(rows) - at:
            size = min(STEP, 1 << (left.bit_length() - 1))
            values = tuple(chain.from_iterable(rows[at : at + size]))
            sql = f"{head} VALUES {', '.join([places] * size)}"
            run_driver(connection, sql, values).close()
            at += size
