"""Reactions are counted and indexed by emoji and user; pins store their user."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Count existing reactions; the users of existing pins are unknown."""
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
    op.rename_table("reactions", "old_reactions")
    op.create_table(
        "reactions",
        sa.Column("channel_id", id_type, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("target", sa.BigInteger, primary_key=True),
        sa.Column("since", sa.BigInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("user_id", id_type, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("body_id", id_type, sa.ForeignKey("bodies.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.get_bind().execute(
        sa.text("""
            INSERT INTO reactions (channel_id, target, since, seq, user_id, body_id)
            SELECT channel_id, target, since, seq, user_id, body_id
            FROM old_reactions ORDER BY channel_id, target, since, seq""")
    )
    op.drop_table("old_reactions")
    op.create_index(
        "ix_reactions_channel_id_target_user_id_since",
        "reactions",
        ["channel_id", "target", "user_id", "since"],
        unique=True,
    )
    op.add_column("pins", sa.Column("user_id", id_type))
    op.create_index("ix_pins_channel_id_user_id", "pins", ["channel_id", "user_id"])
