"""Members get preferences: how a channel is listed and notified."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give every member the default preferences."""
    for column in (
        sa.Column("pinned", sa.Integer, nullable=False, server_default="0"),
        sa.Column("muted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("level", sa.String, nullable=False, server_default="mentions"),
    ):
        op.add_column("members", column)
