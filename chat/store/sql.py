"""Prepared statements and bulk inserts: SQLAlchemy compiles once, the driver executes.

`Connection.execute` adds 27 µs to a statement that takes SQLite 3 µs: it looks the statement up,
checks its parameters, and creates a cursor and a result. A single send runs seven statements, a
sign-in twenty.

The driver releases the GIL at each execution, so an insert carries many rows: with fewer
executions, the writer waits for the GIL less often. It also searches an adapter for each parameter
that is None or `bytes`, which takes 0.3 µs, so frequent statements leave out columns that are NULL,
and bind `bytearray`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Table,
    TextClause,
    Update,
    bindparam,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

__all__ = [
    "Among",
    "Bulk",
    "BulkInsert",
    "BulkUpdate",
    "Prepared",
    "bulk_kinds",
    "run_driver",
    "run_many",
]


STEP = 256
"""Most rows of one statement; SQLite accepts 32,766 values. Row counts are powers of two, which
limits the number of prepared statements."""


class Bulk:
    """A statement with one group of parameters for each row, such as an `INSERT`.

    Args:
        begin: the SQL before the rows.
        row: the parameters of a row: `(?, ?)`.
        end: the SQL after the rows.
    """

    def __init__(self, begin: str, row: str, end: str = "") -> None:
        self._begin, self._row, self._end = begin, row, end
        self._sizes: dict[int, str] = {}
        """The statement for each number of rows."""

    def run(self, connection: Connection, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement for all rows."""
        at = 0
        while left := len(rows) - at:
            size = min(STEP, 1 << (left.bit_length() - 1))
            values = tuple(chain.from_iterable(rows[at : at + size]))
            run_driver(connection, self.sql(size), values).close()
            at += size

    def sql(self, size: int) -> str:
        """Return the statement for `size` rows."""
        if size not in self._sizes:
            self._sizes[size] = f"{self._begin} {', '.join([self._row] * size)} {self._end}"
        return self._sizes[size]


BulkKind = Callable[[str, Sequence[str], Sequence[str], str], "BulkStatement"]
"""Makes a bulk statement from the SQL before the rows, the placeholders and the SQL types of the
parameters of a row, and the SQL after the rows."""


class BulkStatement(Protocol):
    """A statement that runs for many rows at once."""

    def run(self, connection: Connection, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement for all rows."""


def _in_values(begin: str, places: Sequence[str], _types: Sequence[str], end: str) -> BulkStatement:
    return Bulk(f"{begin} VALUES", f"({', '.join(places)})", end)


bulk_kinds: dict[str, BulkKind] = {}
"""How dialects pass many rows, by name; by default as a list of `VALUES`."""


class BulkUpdate:
    """A statement for many rows, compiled for each SQL dialect.

    Args:
        begin: the SQL before the rows.
        types: the types of the parameters of a row.
        end: the SQL after the rows.
    """

    def __init__(self, begin: str, types: Sequence[TypeEngine[Any]], end: str) -> None:
        self._begin, self._types, self._end = begin, types, end
        self._compiled: dict[str, BulkStatement] = {}

    def run(self, connection: Connection, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement for all rows."""
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            values = [bindparam(None, type_=each) for each in self._types]
            self._compiled[dialect.name] = bulk_kinds.get(dialect.name, _in_values)(
                self._begin,
                [str(each.compile(dialect=dialect)) for each in values],
                [each.compile(dialect=dialect) for each in self._types],
                self._end,
            )
        self._compiled[dialect.name].run(connection, rows)


class BulkInsert(BulkUpdate):
    """An `INSERT` of rows into `table`; each has all columns, or `columns`, in the table's order.

    `end` is the SQL after the rows, such as `ON CONFLICT DO NOTHING`.
    """

    def __init__(self, table: Table, columns: Sequence[str] | None = None, end: str = "") -> None:
        names = columns or [column.name for column in table.columns]
        quoted = ", ".join(f'"{name}"' for name in names)
        types = [table.columns[name].type for name in names]
        super().__init__(f'INSERT INTO "{table.name}" ({quoted})', types, end)


Statement = Select[Any] | CompoundSelect[Any] | Insert | Update | Delete | TextClause
Rows = Sequence[Any]
_Make = Callable[[Iterable[Any]], Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A statement compiled for one SQL dialect."""

    sql: str
    names: tuple[str, ...]
    """The names of the parameters, in order."""
    fixed: Mapping[str, object]
    """Parameters whose values are part of the statement."""
    row: _Make

    def values(self, given: Mapping[str, object]) -> list[object]:
        """Return the values of the parameters, in order."""
        if self.fixed:
            given = {**self.fixed, **given}
        return [given[name] for name in self.names]


class Prepared:
    """A prepared statement, for connections inside a transaction.

    Rows are named tuples. Each method takes the statement's parameters by name and raises
    SQLAlchemy's `DBAPIError` without the parameters, which may be users' texts.

    Args:
        statement: a SQLAlchemy Core statement without expanding parameters.
        columns: the columns of an `insert`; by default all columns of the table.
    """

    __slots__ = ("_columns", "_has_rows", "_plans", "_statement", "is_read")

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        self.is_read = isinstance(statement, Select | CompoundSelect)
        """Whether the statement only reads."""
        self._has_rows = isinstance(statement, TextClause) or bool(statement.exported_columns)
        self._statement = statement
        self._columns = columns
        self._plans: dict[str, _Plan] = {}

    def all(self, connection: Connection, **values: object) -> Rows:
        """Run the statement; return all rows."""
        return self._rows(connection, *self._run(connection, values))

    def start(self, connection: Connection, **values: object) -> Callable[[], Rows]:
        """Send the statement; return a function that waits for its rows.

        Drivers with a pipeline send the next statements meanwhile; the others have run this one.
        """
        return partial(self._rows, connection, *self._run(connection, values))

    def _rows(self, connection: Connection, plan: _Plan, cursor: Any) -> Rows:
        try:
            rows = cursor.fetchall() if self._has_rows else ()
        except connection.dialect.loaded_dbapi.Error as exc:
            raise _wrapped(connection, plan.sql, exc) from exc
        finally:
            cursor.close()
        return list(map(plan.row, rows))

    def first(self, connection: Connection, **values: object) -> Any:
        """Run the statement; return the first row or None."""
        rows = self.all(connection, **values)
        return rows[0] if rows else None

    def column(self, connection: Connection, **values: object) -> list[Any]:
        """Run the statement; return the first column of all rows."""
        return [row[0] for row in self.all(connection, **values)]

    def scalar(self, connection: Connection, **values: object) -> Any:
        """Run the statement; return the first column of the first row, or None."""
        row = self.first(connection, **values)
        return None if row is None else row[0]

    def run(self, connection: Connection, **values: object) -> None:
        """Run a statement that returns no rows."""
        self._run(connection, values)[1].close()

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run the statement once for each of `rows`, which map parameter names to values."""
        plan = self._planned(connection.dialect)
        run_many(connection, plan.sql, [plan.values(row) for row in rows])

    def _run(self, connection: Connection, values: Mapping[str, object]) -> tuple[_Plan, Any]:
        plan = self._planned(connection.dialect)
        return plan, run_driver(connection, plan.sql, plan.values(values))

    def _planned(self, dialect: Dialect) -> _Plan:
        plan = self._plans.get(dialect.name)
        if plan is None:
            plan = self._plans[dialect.name] = self._plan(dialect)
        return plan

    def _plan(self, dialect: Dialect) -> _Plan:
        statement = self._statement
        if isinstance(statement, Insert) and not statement.exported_columns:
            statement = statement.inline()  # PostgreSQL's would return the primary key
        compiled = statement.compile(dialect=dialect, column_keys=self._columns)
        assert compiled.positional, "the driver takes its parameters by their place"
        fixed = {name: own.value for name, own in compiled.binds.items() if not own.required}
        return _Plan(str(compiled), tuple(compiled.positiontup or ()), fixed, self._row(dialect))

    def _row(self, dialect: Dialect) -> _Make:
        if isinstance(self._statement, TextClause):
            return tuple
        columns = self._statement.exported_columns
        names = [str(key) for key in columns.keys()]  # noqa: SIM118  not a dictionary
        # The field names are known only at run time.
        made: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        make: _Make = made._make
        types = [column.type.dialect_impl(dialect) for column in columns]
        readers = [each.result_processor(dialect, None) for each in types]
        converted = [(place, read) for place, read in enumerate(readers) if read is not None]
        if not converted:
            return make

        def row(values: Iterable[Any]) -> Any:
            cells = list(values)
            for place, read in converted:
                cells[place] = read(cells[place])
            return make(cells)

        return row


def run_driver(connection: Connection, sql: str, values: Sequence[object] = ()) -> Any:
    """Run SQL through the driver in the transaction of `connection`; return the cursor.

    Raises:
        DBAPIError: the same errors as SQLAlchemy.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
    except connection.dialect.loaded_dbapi.Error as exc:
        raise _wrapped(connection, sql, exc) from exc
    return cursor


def run_many(connection: Connection, sql: str, rows: Sequence[Sequence[object]]) -> None:
    """Run SQL through the driver once for each of `rows`; see `run_driver`."""
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(sql, rows)
    except connection.dialect.loaded_dbapi.Error as exc:
        raise _wrapped(connection, sql, exc) from exc
    finally:
        cursor.close()


def _wrapped(connection: Connection, sql: str, error: Exception) -> BaseException:
    dialect = connection.dialect
    return DBAPIError.instance(
        sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
    )


class Among:
    """Selects the rows of `query` whose `column` is in a list of any length.

    Lists are padded with their last value to a power of two, which limits the number of prepared
    statements.
    """

    def __init__(self, query: Select[Any], column: ColumnElement[Any]) -> None:
        self._query = query
        self._column = column
        self._sizes: dict[int, Prepared] = {}

    def rows(self, connection: Connection, values: Collection[Any], **where: object) -> Rows:
        """Return the rows; `where` holds the other parameters of `query`."""
        return self.start(connection, values, **where)() if values else ()

    def start(
        self, connection: Connection, values: Collection[Any], **where: object
    ) -> Callable[[], Rows]:
        """Send the query for at least one value; see `Prepared.start`."""
        size = 1 << (len(values) - 1).bit_length()
        wanted = [*values]
        wanted += wanted[-1:] * (size - len(wanted))
        places = {f"among_{place}": value for place, value in enumerate(wanted)}
        return self._of(size).start(connection, **where, **places)

    def _of(self, size: int) -> Prepared:
        if size not in self._sizes:
            places = [bindparam(f"among_{place}", type_=self._column.type) for place in range(size)]
            self._sizes[size] = Prepared(self._query.where(self._column.in_(places)))
        return self._sizes[size]
