"""Copy a database to another kind of database, and give channels new epochs."""

from __future__ import annotations

import secrets
import time
from contextlib import closing

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.store.backend import backend_of
from chat.store.maintenance.check import Holdings, holdings, problems
from chat.store.operations import Notice
from chat.store.schema import channels

__all__ = ["migrate_store", "new_epochs"]

_SET_EPOCH = (
    update(channels).where(channels.c.id == bindparam("channel")).values(epoch=bindparam("new"))
)


def migrate_store(url: str, target: str) -> Holdings:
    """Copy the database at `url` to the empty one at `target`, and check the copy.

    The source is unchanged. Clients continue with the copy where they were.

    Raises:
        StartupError: a server uses the source, it has problems, or the target cannot be used or is
            not empty; the target is unchanged.
    """
    backend_of(url).check_is_current(url)
    with closing(backend_of(url).open(url, _now)) as source:
        with source.checker.begin() as connection:
            if found := next(problems(connection, source), None):
                raise StartupError(f"{source.name} is damaged ({found}); restore a backup first")
            before = holdings(connection)
        backend_of(target).copy_from(source, target)
    with (
        closing(backend_of(target).open_shared(target)) as copy,
        copy.checker.begin() as connection,
    ):
        found = next(problems(connection, copy), None)
        after = holdings(connection)
    if found or after != before:
        raise StartupError(
            f"{copy.name} differs from {source.name} ({found or after}): remove its tables, and"
            " report this as a bug of chat-server"
        )
    return after


def new_epochs(url: str) -> int:
    """Give every channel a new epoch, so that clients load it again; return their number.

    Raises:
        StartupError: the database does not exist or is not accepting writes.
    """
    with closing(backend_of(url).open_shared(url)) as database:
        try:
            with database.repairs.begin() as connection:
                database.begin(connection, (), is_exclusive=True)
                ids = connection.scalars(select(channels.c.id)).all()
                rows = [{"channel": each, "new": secrets.token_hex(8)} for each in ids]
                connection.execute(_SET_EPOCH, rows)
                database.publish(connection, Notice(0, _now()))
        except DBAPIError as exc:
            reason = database.reason_of(exc)
            raise StartupError(f"{database.name} is not accepting writes: {reason}") from None
    return len(ids)


def _now() -> int:
    return time.time_ns() // 1_000_000
