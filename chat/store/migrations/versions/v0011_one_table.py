"""One append-only table for the logs of all channels."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

from chat.errors import StartupError
from chat.store.schema import ERASED, ME, REMOVE, code_of, flags_of, pack_cid

revision = "0011"
down_revision = "0010"

log = logging.getLogger("chat.store.migrations")

ROOM = 4
"""Free space that the migration needs (mostly write-ahead log), as a multiple of the file."""
STEP = 50_000
"""Events copied by one statement."""
_KINDS = ("message", "edit", "delete", "react", "pin", "topic", "join", "leave")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_FLAGS = f"""{flags_of("message")} + CASE e.kind
    {" ".join(f"WHEN '{kind}' THEN {code_of(kind)}" for kind in _KINDS)} END
    + {ME} * e.me + {REMOVE} * e.remove + {ERASED} * e.erased"""
# A message shared a text with its latest edit; now the row of the edit stores it.
_COPY = sa.text(f"""
    INSERT INTO events (channel_id, seq, ts, author_id, flags, mid, cid, target, reply_to, thread,
        text)
    SELECT e.channel_id, e.seq, e.ts, e.author_id, {_FLAGS}, packed_mid(e.mid),
        packed_cid(e.send_key), e.target, e.reply_to, e.thread,
        CASE WHEN e.kind = 'message' AND e.last_edit IS NOT NULL THEN NULL ELSE b.text END
    FROM old_events e LEFT JOIN bodies b ON b.id = e.body_id
    WHERE e.channel_id = :channel AND e.seq BETWEEN :first AND :last
    ORDER BY e.channel_id, e.seq""")  # noqa: S608  constants of this module
_FOLDS = sa.text("""
    INSERT INTO folds (event_id, rev, edit_id)
    SELECT e.id, o.rev, t.id FROM old_events o
    JOIN events e ON e.channel_id = o.channel_id AND e.seq = o.seq AND e.target IS NULL
    LEFT JOIN events t
        ON t.channel_id = o.channel_id AND t.seq = o.last_edit AND t.target IS NOT NULL
    WHERE o.kind = 'message' AND (o.rev > o.seq OR o.last_edit IS NOT NULL)
    ORDER BY e.id""")
_WITHOUT_BODIES = (
    "INSERT INTO reactions (channel_id, target, since, seq, user_id)"
    " SELECT channel_id, target, since, seq, user_id FROM old_reactions",
    "INSERT INTO reaction_counts (channel_id, target, since, count)"
    " SELECT channel_id, target, since, count FROM old_counts",
)
_HEADS = sa.text("""
    SELECT c.id, (SELECT coalesce(max(e.seq), 0) FROM old_events e WHERE e.channel_id = c.id)
    FROM channels c ORDER BY c.id""")


def upgrade() -> None:
    """Copy all events into the new table, and erase the old ones."""
    connection = op.get_bind()
    _check_room(connection)
    _register(connection)
    op.rename_table("events", "old_events")
    for index in (
        *("ix_events_channel_id_is_line_seq", "ix_events_channel_id_target"),
        *("ix_events_channel_id_thread_seq", "ix_events_body_id"),
    ):
        op.drop_index(index)
    _create_tables()
    _copy(connection)
    _create_indexes()
    connection.execute(_FOLDS)
    _drop_bodies(connection)
    op.drop_table("old_events")
    op.drop_table("bodies")


def _check_room(connection: sa.Connection) -> None:
    """Check that the disk has space for both tables and the write-ahead log.

    Raises:
        StartupError: not enough space; nothing was changed.
    """
    path = Path(connection.exec_driver_sql("PRAGMA database_list").fetchall()[0][2])
    needed, free = ROOM * path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise StartupError(
            f"{path} has to be migrated, which needs {needed >> 20:,} MiB of free disk space;"
            f" {free >> 20:,} MiB are free. Nothing was changed: free disk space, then start again"
        )


def _register(connection: sa.Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.create_function("packed_mid", 1, bytes.fromhex, deterministic=True)
    driver.create_function("packed_cid", 1, _packed_cid, deterministic=True)


def _packed_cid(send_key: str | None) -> bytes | None:
    return None if send_key is None else pack_cid(send_key.partition("/")[2])


def _copy(connection: sa.Connection) -> None:
    heads = connection.execute(_HEADS).all()
    total = sum(head for _, head in heads)
    done = 0
    for channel, first, last in _steps(heads):
        where = {"channel": channel, "first": first, "last": last}
        done += connection.execute(_COPY, where).rowcount
        if total > STEP:
            log.info("migrating the database: %s of %s events", f"{done:,}", f"{total:,}")
    if total:
        # The index follows the ids of events; the server rebuilds it.
        connection.execute(sa.text("DELETE FROM meta WHERE key = 'search_place'"))


def _steps(heads: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
    for channel, head in heads:
        for first in range(1, head + 1, STEP):
            yield channel, first, min(head, first + STEP - 1)


def _create_tables() -> None:
    op.create_table(
        "events",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("author_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("flags", sa.Integer, nullable=False),
        sa.Column("mid", sa.LargeBinary, nullable=False),
        sa.Column("cid", sa.LargeBinary),
        sa.Column("target", sa.BigInteger),
        sa.Column("reply_to", sa.BigInteger),
        sa.Column("thread", sa.BigInteger),
        sa.Column("text", sa.Text),
    )
    op.create_table(
        "folds",
        sa.Column(
            "event_id", _ID, sa.ForeignKey("events.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("rev", sa.BigInteger, nullable=False),
        sa.Column("edit_id", _ID, sa.ForeignKey("events.id")),
    )


def _create_indexes() -> None:
    """Create the indexes after copying, which is faster than updating them row by row."""
    for name, columns, is_unique, rows in (
        (
            "ix_events_lines",
            ["channel_id", "seq", "author_id", "flags", "target"],
            False,
            "target IS NULL",
        ),
        ("ix_events_changes", ["channel_id", "seq"], True, "target IS NOT NULL"),
        ("ix_events_channel_id_target", ["channel_id", "target"], False, "target IS NOT NULL"),
        (
            "ix_events_channel_id_thread_seq",
            ["channel_id", "thread", "seq"],
            False,
            "thread IS NOT NULL",
        ),
        ("ix_events_cid", ["cid", "author_id"], True, "cid IS NOT NULL"),
    ):
        where = sa.text(rows)
        op.create_index(
            name,
            "events",
            columns,
            unique=is_unique,
            sqlite_where=where,
            postgresql_where=where,
        )


def _drop_bodies(connection: sa.Connection) -> None:
    """Refer reactions to the events that contain their emoji."""
    op.rename_table("reactions", "old_reactions")
    op.drop_index("ix_reactions_channel_id_target_user_id_since")
    op.create_table(
        "reactions",
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("target", sa.BigInteger, primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.rename_table("reaction_counts", "old_counts")
    op.create_table(
        "reaction_counts",
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("target", sa.BigInteger, primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    for statement in _WITHOUT_BODIES:
        connection.execute(sa.text(statement))
    op.create_index(
        "ix_reactions_channel_id_target_user_id_since",
        "reactions",
        ["channel_id", "target", "user_id", "since"],
        unique=True,
    )
    op.drop_table("old_reactions")
    op.drop_table("old_counts")
