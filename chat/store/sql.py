"""Prepared statements and bulk inserts: SQLAlchemy compiles once, the driver executes.

For hundreds of small rows the checks and dictionaries that `Connection.execute` makes of each cost
as much as the insertion itself. And the driver lets other threads run before and after each step,
so rows go in by many to a step: the fewer, the less often the writer waits for its turn.

`Connection.execute` takes 30 µs for what SQLite does in 3: it looks the statement up, checks its
parameters, and makes a cursor and a result of its own. A lone send is seven statements, a person's
coming twenty.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

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
    insert,
)
from sqlalchemy.exc import DBAPIError

__all__ = ["Among", "BulkInsert", "Prepared", "run_driver", "run_many"]


STEP = 256
"""Most rows of one step; SQLite takes 32,766 values. Smaller steps are powers of two, so that
there are few different statements to prepare."""


class BulkInsert:
    """Rows of `table` that are inserted together: each has all columns, in the table's order."""

    def __init__(self, table: Table) -> None:
        self.rows: list[tuple[Any, ...]] = []
        """Rows that wait for `flush`."""
        self._columns = [column.name for column in table.columns]
        self._insert = insert(table)
        self._compiled: tuple[object, str] = (None, "")

    def flush(self, connection: Connection) -> None:
        """Insert the rows that wait."""
        rows = self.rows
        if not rows:
            return
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
        rows.clear()


Statement = Select[Any] | CompoundSelect[Any] | Insert | Update | Delete | TextClause
Rows = Sequence[Any]
_Make = Callable[[Iterable[Any]], Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A statement as one database understands it."""

    sql: str
    names: tuple[str, ...]
    """Of the parameters, in their order."""
    fixed: Mapping[str, object]
    """Those that the statement has by itself."""
    row: _Make

    def values(self, given: Mapping[str, object]) -> list[object]:
        """Return the parameters in the order of their places."""
        if self.fixed:
            given = {**self.fixed, **given}
        return [given[name] for name in self.names]


class Prepared:
    """One statement, for connections that are in a transaction.

    Rows are named tuples. Each method takes the statement's parameters by name, and raises what
    SQLAlchemy would (`DBAPIError`), without the parameters: these may be people's texts.

    Args:
        statement: of SQLAlchemy Core, without parameters that expand.
        columns: that an `insert` gives; it gives all of the table's otherwise.
    """

    __slots__ = ("_columns", "_plans", "_statement", "is_read")

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        self.is_read = isinstance(statement, Select | CompoundSelect)
        """Whether it changes nothing."""
        self._statement = statement
        self._columns = columns
        self._plans: dict[str, _Plan] = {}

    def all(self, connection: Connection, **values: object) -> Rows:
        """Run it, and return all rows."""
        plan, cursor = self._run(connection, values)
        try:
            rows = cursor.fetchall()
        except connection.dialect.loaded_dbapi.Error as exc:
            raise _wrapped(connection, plan.sql, exc) from exc
        finally:
            cursor.close()
        return list(map(plan.row, rows))

    def first(self, connection: Connection, **values: object) -> Any:
        """Run it, and return the first row; None if there is none."""
        rows = self.all(connection, **values)
        return rows[0] if rows else None

    def column(self, connection: Connection, **values: object) -> list[Any]:
        """Run it, and return the first column of all rows."""
        return [row[0] for row in self.all(connection, **values)]

    def scalar(self, connection: Connection, **values: object) -> Any:
        """Run it, and return the first column of the first row; None if there is none."""
        row = self.first(connection, **values)
        return None if row is None else row[0]

    def run(self, connection: Connection, **values: object) -> None:
        """Run it; it returns no rows."""
        self._run(connection, values)[1].close()

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it once with each of `rows`, the parameters by name."""
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
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert compiled.positional, "the driver takes its parameters by their place"
        fixed = {name: own.value for name, own in compiled.binds.items() if not own.required}
        return _Plan(str(compiled), tuple(compiled.positiontup or ()), fixed, self._row(dialect))

    def _row(self, dialect: Dialect) -> _Make:
        if isinstance(self._statement, TextClause):
            return tuple
        columns = self._statement.exported_columns
        names = [str(key) for key in columns.keys()]  # noqa: SIM118  it is no dictionary
        # Its names are known at run time only.
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
    """Run SQL of the driver's own in the transaction of `connection`; return its cursor.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
    except connection.dialect.loaded_dbapi.Error as exc:
        raise _wrapped(connection, sql, exc) from exc
    return cursor


def run_many(connection: Connection, sql: str, rows: Sequence[Sequence[object]]) -> None:
    """Run SQL of the driver's own once with each of `rows`, as `run_driver` does."""
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
    """Finds the rows of `query` whose `column` is one of some values, however many these are.

    Statements have 1, 2, 4, 8, … places, and what is too many is filled with the last value, so
    that there are few of them.
    """

    def __init__(self, query: Select[Any], column: ColumnElement[Any]) -> None:
        self._query = query
        self._column = column
        self._sizes: dict[int, Prepared] = {}

    def rows(self, connection: Connection, values: Collection[Any], **where: object) -> Rows:
        """Return the rows; `where` are the parameters that `query` has by itself."""
        if not values:
            return ()
        size = 1 << (len(values) - 1).bit_length()
        wanted = [*values]
        wanted += wanted[-1:] * (size - len(wanted))
        places = {f"among_{place}": value for place, value in enumerate(wanted)}
        return self._of(size).all(connection, **where, **places)

    def _of(self, size: int) -> Prepared:
        if size not in self._sizes:
            places = [bindparam(f"among_{place}", type_=self._column.type) for place in range(size)]
            self._sizes[size] = Prepared(self._query.where(self._column.in_(places)))
        return self._sizes[size]
