"""Rooms: private channels, settings, moderation, ignored users, followed threads, retention."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns of channels, and the tables of rooms."""
    for column in (
        sa.Column("is_private", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("settings", sa.String, nullable=False, server_default=""),
        sa.Column("retention_from", sa.BigInteger),
        sa.Column("expired", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("deleted", sa.BigInteger),
    ):
        op.add_column("channels", column)
    op.drop_index("ix_channels_is_direct_fold")
    op.create_index(
        "ix_channels_is_direct_is_private_fold", "channels", ["is_direct", "is_private", "fold"]
    )
    _create_moderation()
    _create_invitations()
    _create_ignores_and_threads()


def _channel(*, is_key: bool = False) -> sa.Column[int]:
    target = sa.ForeignKey("channels.id")
    return sa.Column("channel_id", _ID, target, primary_key=is_key, nullable=False)


def _user(name: str, *, is_key: bool = False) -> sa.Column[int]:
    return sa.Column(name, _ID, sa.ForeignKey("users.id"), primary_key=is_key, nullable=False)


def _create_moderation() -> None:
    op.create_table(
        "mutes",
        _channel(is_key=True),
        _user("user_id", is_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("reason", sa.String, nullable=False),
        _user("by_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mutes_user_id", "mutes", ["user_id"])
    op.create_table(
        "channel_bans",
        sa.Column("id", _ID, primary_key=True),
        _channel(),
        _user("user_id"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("reason", sa.String, nullable=False),
        _user("by_id"),
        sa.UniqueConstraint("channel_id", "user_id", name="uq_channel_bans_channel_id_user_id"),
    )
    op.create_index("ix_channel_bans_channel_id", "channel_bans", ["channel_id"])


def _create_invitations() -> None:
    op.create_table(
        "channel_invitations",
        _channel(is_key=True),
        _user("user_id", is_key=True),
        _user("by_id"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("is_silent", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_channel_invitations_user_id_created", "channel_invitations", ["user_id", "created"]
    )


def _create_ignores_and_threads() -> None:
    op.create_table(
        "ignores",
        _user("user_id", is_key=True),
        _user("ignored_id", is_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "followed_threads",
        _user("user_id", is_key=True),
        _channel(is_key=True),
        sa.Column("thread", sa.BigInteger, primary_key=True),
        sa.Column("read_seq", sa.BigInteger, nullable=False),
        sa.Column("following", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_followed_threads_channel_id_thread", "followed_threads", ["channel_id", "thread"]
    )
    op.create_index(
        "ix_events_thread_only",
        "events",
        ["channel_id", "thread", "seq", "author_id", "flags"],
        sqlite_where=sa.text("flags & 512 != 0"),
    )
