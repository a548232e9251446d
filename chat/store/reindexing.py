"""The full-text index made anew: what it holds is in the logs as well, so it can never be lost."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.store import renewing, sqlite
from chat.store.checking import Holdings, holdings
from chat.store.locking import FileLock
from chat.store.opening import check_is_current

__all__ = ["reindex"]


def reindex(url: str) -> Holdings:
    """Index every message as it is in the logs, in one transaction; no server may run meanwhile.

    Raises:
        StartupError: a server uses the database, or it cannot be written; then nothing was changed.
    """
    path = sqlite.path_of(url)
    check_is_current(path)
    sqlite.check_is_writable(path)
    lock = FileLock.take(path)
    writer = sqlite.writer_engine(path)
    try:
        with writer.begin() as connection:
            renewing.rebuild(connection)
            held = holdings(connection)
        with writer.connect() as connection:
            sqlite.truncate_wal(connection)  # what was in the former index leaves the disk
    except DBAPIError as exc:
        raise StartupError(f"{path} was not indexed anew: {sqlite.reason_of(exc)}") from None
    finally:
        writer.dispose()
        lock.release()
    return held
