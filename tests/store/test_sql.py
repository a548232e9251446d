"""Prepared statements: the same rows and errors as SQLAlchemy, without parameters in errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from chat.store.sql import Among, Prepared
from chat.store.sqlite import engine as sqlite

notes = Table(
    "notes",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("text", String, unique=True),
    Column("is_done", Boolean, nullable=False, server_default="0"),
)
BY_TEXT = Prepared(select(notes).where(notes.c.text == bindparam("wanted")))
ADD = Prepared(insert(notes).returning(notes.c.id), ("text",))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = sqlite.writer_engine(tmp_path / "notes.db")
    with engine.begin() as opened:
        notes.create(opened)
        yield opened


def test_rows_have_names_and_types(connection: Connection) -> None:
    assert ADD.scalar(connection, text="tea") == 1
    row = BY_TEXT.first(connection, wanted="tea")
    assert (row.id, row.text, row.is_done) == (1, "tea", False)
    assert row.is_done is False, "a number would not be the column's type"
    assert BY_TEXT.first(connection, wanted="milk") is None
    assert BY_TEXT.column(connection, wanted="tea") == [1]


def test_literal_values_of_a_statement_are_kept(connection: Connection) -> None:
    finish = Prepared(update(notes).where(notes.c.text == bindparam("which")).values(is_done=True))
    forget = Prepared(update(notes).where(notes.c.text == bindparam("which")).values(text=None))
    for name in ("tea", "milk"):
        ADD.run(connection, text=name)
    finish.run_many(connection, [{"which": "tea"}, {"which": "milk"}])
    forget.run(connection, which="milk")
    assert connection.execute(select(notes)).all() == [(1, "tea", True), (2, None, True)]


def test_parameter_may_occur_twice(connection: Connection) -> None:
    twice = Prepared(text("SELECT :number * :number + :one"))
    assert twice.scalar(connection, number=5, one=1) == 26


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 64, 1_000])
def test_among_accepts_any_number_of_values(connection: Connection, count: int) -> None:
    connection.execute(insert(notes), [{"text": str(number)} for number in range(1_500)])
    found = Among(select(notes.c.text).where(notes.c.id > bindparam("least")), notes.c.text)
    wanted = [str(number) for number in range(count)]
    assert {row.text for row in found.rows(connection, wanted, least=0)} == set(wanted)
    assert not found.rows(connection, wanted, least=count)


def test_errors_equal_those_of_sqlalchemy_without_parameters(connection: Connection) -> None:
    ADD.run(connection, text="a secret")
    with pytest.raises(IntegrityError) as caught:
        ADD.run(connection, text="a secret")
    assert "a secret" not in str(caught.value)
    with pytest.raises(OperationalError, match="no such table"):
        Prepared(text("SELECT * FROM absent")).all(connection)
