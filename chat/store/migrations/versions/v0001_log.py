"""The log: users, channels, members, events, and what is derived from them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables of the first version."""
    _create_people()
    _create_channels()
    _create_events()
    _create_derived()


def _create_people() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "users",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("fold", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("fold", name="uq_users_fold"),
    )
    op.create_table(
        "tokens",
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_channels() -> None:
    op.create_table(
        "channels",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("fold", sa.String, nullable=False),
        sa.Column("is_direct", sa.Boolean, nullable=False),
        sa.Column("epoch", sa.String, nullable=False),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("member_count", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("fold", name="uq_channels_fold"),
    )
    op.create_index("ix_channels_is_direct_fold", "channels", ["is_direct", "fold"])
    op.create_table(
        "members",
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("user_fold", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("read_seq", sa.BigInteger, nullable=False),
        sa.Column("joined_seq", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.create_index(
        "ix_members_channel_id_user_fold", "members", ["channel_id", "user_fold"], unique=True
    )


def _create_events() -> None:
    op.create_table(
        "bodies",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("mid", sa.String, nullable=False),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("author_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("is_line", sa.Boolean, nullable=False),
        sa.Column("send_key", sa.String),
        sa.Column("target", sa.BigInteger),
        sa.Column("body_id", _ID, sa.ForeignKey("bodies.id")),
        sa.Column("me", sa.Boolean, nullable=False),
        sa.Column("reply_to", sa.BigInteger),
        sa.Column("remove", sa.Boolean, nullable=False),
        sa.Column("rev", sa.BigInteger, nullable=False),
        sa.Column("last_edit", sa.BigInteger),
        sa.Column("erased", sa.Boolean, nullable=False),
        sa.UniqueConstraint("send_key", name="uq_events_send_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_events_channel_id_is_line_seq", "events", ["channel_id", "is_line", "seq"])
    op.create_index(
        "ix_events_channel_id_target",
        "events",
        ["channel_id", "target"],
        sqlite_where=sa.text("target IS NOT NULL"),
    )


def _create_derived() -> None:
    op.create_table(
        "mentions",
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_mentions_user_id_channel_id_seq", "mentions", ["user_id", "channel_id", "seq"]
    )
    op.create_table(
        "reactions",
        sa.Column("channel_id", _ID, sa.ForeignKey("channels.id"), primary_key=True),
        sa.Column("target", sa.BigInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("body_id", _ID, sa.ForeignKey("bodies.id"), nullable=False),
        sqlite_with_rowid=False,
    )
