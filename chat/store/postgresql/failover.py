"""Failover: notice that a database lost commits, and give the logs that lost events new epochs.

PostgreSQL begins a new timeline whenever a standby becomes the primary, or a backup is restored to
a moment, and a restored dump is another database. The database stores on which timeline it was
last written, so the first connection of a writer on a new one notices the change. Commits are then
refused for some seconds, while each server compares what it has delivered with what is left: no
number of a log gets another event before the log has another epoch.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, text

from chat.store.operations import Delivered, Notice
from chat.store.postgresql import notices
from chat.store.postgresql.tables import COMMIT_LOCK, TIMELINE
from chat.store.sql import Prepared, run_driver

__all__ = ["check_timeline", "renew_epochs", "timeline"]

PAUSE_MS = 4_000
"""Milliseconds without commits after a failover. A server that has not compared by then has sent
its sessions away (`relay.Timing.patience`)."""

_TIMELINE = Prepared(
    text(
        "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || oid"
        " FROM pg_database WHERE datname = current_database()"
    )
)
_STATE = (
    "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || oid,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    " (SELECT value FROM meta WHERE key = %s)"
    " FROM pg_database WHERE datname = current_database()"
)
_ADOPT = "INSERT INTO meta (key, value) VALUES (%s, %s) ON CONFLICT (key) DO NOTHING"
_CHANGE = "UPDATE meta SET value = %s WHERE key = %s AND value = %s"
_LOST = (
    "SELECT channels.id, greatest(delivered.seq - channels.head, 1)"
    " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bytea[])"
    " AS delivered (id, epoch, seq, mid)"
    " JOIN channels ON channels.id = delivered.id"
    " AND channels.epoch = delivered.epoch"
    " LEFT JOIN events ON events.channel_id = delivered.id AND events.seq = delivered.seq"
    " WHERE channels.head < delivered.seq"
    " OR (delivered.mid IS NOT NULL AND events.mid IS DISTINCT FROM delivered.mid)"
)
_LOCK = f"SELECT pg_advisory_xact_lock({COMMIT_LOCK})"
_SET_EPOCHS = (
    "UPDATE channels SET epoch = renewed.epoch"
    " FROM unnest(%s::bigint[], %s::text[]) AS renewed (id, epoch) WHERE channels.id = renewed.id"
)


def timeline(connection: Connection) -> str:
    """Return the timeline of the server, and the id of the database there."""
    return str(_TIMELINE.scalar(connection))


def check_timeline(connection: psycopg.Connection[Any]) -> None:
    """Refuse a new connection of a writer for some seconds after a failover.

    Raises:
        psycopg.OperationalError: the servers compare what they have delivered.
    """
    current, now, stored = connection.execute(_STATE, (TIMELINE,)).fetchone() or ("", 0, None)
    known, _, settled = (stored or current).partition(" ")
    if stored is None:
        connection.execute(_ADOPT, (TIMELINE, f"{current} {now}"))
    elif known != current:
        settled = str(now + PAUSE_MS)
        connection.execute(_CHANGE, (f"{current} {settled}", TIMELINE, stored))
    connection.commit()
    if now < int(settled or 0):
        connection.close()
        raise psycopg.OperationalError(
            "the database was replaced by a standby or a backup; for some seconds the servers look"
            " for lost messages"
        )


def renew_epochs(engine: Engine, delivered: Sequence[Delivered]) -> list[int]:
    """Give the logs that do not contain what was delivered a new epoch.

    Several servers may call it with the same positions: a log that has another epoch by now is left
    as it is. The lock of all commits includes those of the channels' rows.

    Returns:
        The number of lost events of each renewed log, as far as they are known.
    """
    rows = [
        (each.channel_id, each.epoch, each.seq, each.mid and bytes.fromhex(each.mid))
        for each in delivered
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    with engine.begin() as connection:
        if not run_driver(connection, _LOST, columns).fetchall():
            return []
        run_driver(connection, _LOCK).close()
        lost = dict(run_driver(connection, _LOST, columns).fetchall())
        if lost:
            epochs = [secrets.token_hex(8) for _ in lost]
            run_driver(connection, _SET_EPOCHS, ([*lost], epochs)).close()
            notices.publish(connection, Notice(0, time.time_ns() // 1_000_000))
    return [*lost.values()]
