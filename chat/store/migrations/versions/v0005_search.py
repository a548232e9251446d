"""The full-text index; the next step fills it."""

from alembic import op

from chat.store.sqlite import fts5

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create it empty: it is derived, and so made once, as this version makes it."""
    fts5.create(op.get_bind())
