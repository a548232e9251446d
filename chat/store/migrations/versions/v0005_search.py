"""The full-text index; the next step fills it."""

from alembic import op

from chat.store.sqlite import fts5

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create an empty index in the current format, as it is derived from the log."""
    fts5.create(op.get_bind())
