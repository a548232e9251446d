"""The full-text index, made from the messages there are."""

from alembic import op

from chat.store import fulltext

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Index every message; the index is derived, so it is made as this version makes it."""
    fulltext.rebuild(op.get_bind())
