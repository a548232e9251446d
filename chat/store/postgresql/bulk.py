"""Many rows as one array for each column: one prepared statement for any number of rows.

psycopg does not cache the parsed form of statements with more than 50 parameters, so lists of
`VALUES` would be parsed again for each commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from chat.store.sql import bulk_kinds, run_driver

__all__ = ["Unnested"]


class Unnested:
    """A statement for many rows.

    Args:
        begin: the SQL before the rows.
        types: the SQL types of the parameters of a row.
        end: the SQL after the rows.
        row: the columns of a row, which may compute with those of `given`.
        given: names for the parameters of a row.
    """

    def __init__(
        self, begin: str, types: Sequence[str], end: str, row: str = "*", given: str = ""
    ) -> None:
        arrays = ", ".join(f"%s::{each}[]" for each in types)
        # All parts are constants of the store; the values of the rows are parameters.
        self._sql = f"{begin} SELECT {row} FROM unnest({arrays}) AS given{given} {end}"  # noqa: S608

    def run(self, connection: Connection, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement for all rows."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        run_driver(connection, self._sql, columns).close()


def _unnested(begin: str, _places: Sequence[str], types: Sequence[str], end: str) -> Unnested:
    return Unnested(begin, types, end)


bulk_kinds["postgresql"] = _unnested
