"""Reactions are counted, found by person and by emoji; pins know who set them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Count the reactions that are there; nobody is known to have set the pins."""
    id_type = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "reaction_counts",
        sa.Column("channel_id", id_type, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("target", sa.BigInteger, primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True),
        sa.Column("body_id", id_type, sa.ForeignKey("bodies.id"), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.get_bind().execute(
        sa.text("""
            INSERT INTO reaction_counts (channel_id, target, since, body_id, count)
            SELECT channel_id, target, since, min(body_id), count(*)
            FROM reactions GROUP BY channel_id, target, since""")
    )
    where = ["channel_id", "target"]
    op.create_index("ix_reactions_channel_id_target_since", "reactions", [*where, "since", "seq"])
    op.create_index("ix_reactions_channel_id_target_user_id", "reactions", [*where, "user_id"])
    op.add_column("pins", sa.Column("user_id", id_type))
    op.create_index("ix_pins_channel_id_user_id", "pins", ["channel_id", "user_id"])
