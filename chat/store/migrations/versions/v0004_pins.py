"""Messages can be pinned."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the empty table."""
    id_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "pins",
        sa.Column("channel_id", id_type, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("target", sa.BigInteger, primary_key=True),
        sqlite_with_rowid=False,
    )
