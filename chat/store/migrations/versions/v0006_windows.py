"""Rebuild the full-text index with windows, longer prefixes, and single-character words."""

import sqlalchemy as sa
from alembic import op

from chat.store.sqlite import fts5

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Let the running server rebuild the index, unless there is nothing to index."""
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT 1 FROM bodies LIMIT 1")):
        fts5.invalidate(connection)
        connection.execute(sa.text("INSERT INTO meta VALUES ('search_reach', '0')"))
