"""The full-text index is updated after commits: its place is the id of a body."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_KNOWN = sa.text("SELECT 1 FROM meta WHERE key IN ('search_place', 'search_reach')")
_WHOLE = sa.text("INSERT INTO meta SELECT 'search_place', coalesce(max(id), 0) FROM bodies")


def upgrade() -> None:
    """Index messages by their bodies; set the place of a complete index to the newest one."""
    op.create_index(
        "ix_events_body_id", "events", ["body_id"], sqlite_where=sa.text("kind = 'message'")
    )
    connection = op.get_bind()
    if not connection.scalar(_KNOWN):
        connection.execute(_WHOLE)
    connection.execute(sa.text("DELETE FROM meta WHERE key = 'search_reach'"))
