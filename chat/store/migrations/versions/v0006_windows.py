"""The full-text index made anew: with windows, longer beginnings, and characters that are words."""

import sqlalchemy as sa
from alembic import op

from chat.store.sqlite import fts5

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Leave it to the running server, unless there is nothing to index."""
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT 1 FROM bodies LIMIT 1")):
        fts5.invalidate(connection)
        connection.execute(sa.text("INSERT INTO meta VALUES ('search_reach', '0')"))
