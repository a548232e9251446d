"""Threads: each reply names the root of its thread."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Pointer doubling: each pass copies the ancestor's ancestor, which halves the distance to the root.
_CLIMB = sa.text("""
    UPDATE events SET thread = (
        SELECT a.thread FROM events a
        WHERE a.channel_id = events.channel_id AND a.seq = events.thread)
    WHERE thread IS NOT NULL AND EXISTS (
        SELECT 1 FROM events a
        WHERE a.channel_id = events.channel_id AND a.seq = events.thread
            AND a.thread IS NOT NULL)""")


def upgrade() -> None:
    """Find the thread of every reply."""
    op.add_column("events", sa.Column("thread", sa.BigInteger))
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE events SET thread = reply_to WHERE reply_to IS NOT NULL"))
    while connection.execute(_CLIMB).rowcount:
        pass
    op.create_index(
        "ix_events_channel_id_thread_seq",
        "events",
        ["channel_id", "thread", "seq"],
        sqlite_where=sa.text("thread IS NOT NULL"),
    )
