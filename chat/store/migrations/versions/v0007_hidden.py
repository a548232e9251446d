"""Direct channels count against the user who opened them, and can be hidden."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_DIRECT = "channel_id IN (SELECT id FROM channels WHERE is_direct)"
_EMPTY = "channel_id IN (SELECT id FROM channels WHERE is_direct AND head = 0)"


def upgrade() -> None:
    """Count no existing direct channel, as its opener is unknown; hide empty ones."""
    op.add_column(
        "members", sa.Column("counted", sa.Boolean, nullable=False, server_default=sa.true())
    )
    op.add_column(
        "members", sa.Column("hidden", sa.Boolean, nullable=False, server_default=sa.false())
    )
    connection = op.get_bind()
    connection.execute(sa.text(f"UPDATE members SET counted = false WHERE {_DIRECT}"))  # noqa: S608
    connection.execute(sa.text(f"UPDATE members SET hidden = true WHERE {_EMPTY}"))  # noqa: S608
