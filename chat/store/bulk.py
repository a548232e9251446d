"""Inserting many rows fast: SQLAlchemy writes the statement once, the driver takes the tuples.

For hundreds of small rows the checks and dictionaries that `Connection.execute` makes of each cost
as much as the insertion itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert

__all__ = ["BulkInsert"]


class BulkInsert:
    """Inserts rows that give all columns of `table`, in the table's order."""

    def __init__(self, table: Table) -> None:
        self._columns = [column.name for column in table.columns]
        self._insert = insert(table)
        self._compiled: tuple[object, str, bool] = (None, "", False)

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert `rows`, of which there must be at least one."""
        dialect, statement, is_positional = self._compiled
        if dialect is not connection.dialect:
            compiled = self._insert.compile(dialect=connection.dialect, column_keys=self._columns)
            statement, is_positional = str(compiled), compiled.positional
            self._compiled = connection.dialect, statement, is_positional
        if is_positional:
            connection.exec_driver_sql(statement, list(rows))
        else:
            named = [dict(zip(self._columns, row, strict=True)) for row in rows]
            connection.exec_driver_sql(statement, named)
