"""Rebuild the full-text index from the logs."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.store.database import FileLock, check_is_current
from chat.store.maintenance.check import Holdings, holdings
from chat.store.sqlite import engine, rebuild

__all__ = ["reindex"]


def reindex(url: str) -> Holdings:
    """Index every message as it is in the logs, in one transaction; no server may run meanwhile.

    Raises:
        StartupError: a server uses the database, or it cannot be written; then nothing was changed.
    """
    path = engine.path_of(url)
    check_is_current(path)
    engine.check_is_writable(path)
    lock = FileLock.take(path)
    writer = engine.writer_engine(path)
    try:
        with writer.begin() as connection:
            rebuild.rebuild(connection)
            held = holdings(connection)
        with writer.connect() as connection:
            engine.truncate_wal(connection)  # what was in the former index leaves the disk
    except DBAPIError as exc:
        raise StartupError(f"{path} was not indexed anew: {engine.reason_of(exc)}") from None
    finally:
        writer.dispose()
        lock.release()
    return held
