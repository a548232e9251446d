"""Rebuild the full-text index with windows, longer prefixes, and single-character words."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Let the running server rebuild the index, unless there is nothing to index."""
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT 1 FROM bodies LIMIT 1")):
        connection.execute(sa.text("DELETE FROM meta WHERE key = 'search_place'"))
        connection.execute(sa.text("INSERT INTO meta VALUES ('search_reach', '0')"))
