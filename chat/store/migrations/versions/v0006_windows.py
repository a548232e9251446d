"""The full-text index made anew: with windows, longer beginnings, and characters that are words."""

from alembic import op

from chat.store.sqlite import rebuild

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Index every message; the index is derived, so it is made as this version makes it."""
    rebuild.rebuild(op.get_bind())
