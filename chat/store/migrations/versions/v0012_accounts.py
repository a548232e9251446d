"""Accounts: devices, roles, passwords, invitations, bans, and the audit log."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_DEVICES = sa.text("""
    INSERT INTO devices (user_id, hash, label, created)
    SELECT t.user_id, t.hash, '', u.created FROM tokens t JOIN users u ON u.id = t.user_id
    ORDER BY t.user_id, t.hash""")
_KEY = sa.text("INSERT INTO meta (key, value) VALUES ('accounts_key', :key)")


def upgrade() -> None:
    """Turn each token into a device, and add the tables of accounts."""
    for column in (
        sa.Column("role", sa.String, nullable=False, server_default="member"),
        sa.Column("disabled", sa.BigInteger),
        sa.Column("arrived", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("is_erased", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("users", column)
    _create_sign_in()
    _create_invitations()
    _create_administration()
    connection = op.get_bind()
    connection.execute(_DEVICES)
    op.drop_table("tokens")
    connection.execute(_KEY, {"key": secrets.token_hex(32)})


def _user(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _ID, sa.ForeignKey("users.id"), nullable=nullable)


def _own_user() -> sa.Column[int]:
    return sa.Column(
        "user_id", _ID, sa.ForeignKey("users.id"), primary_key=True, autoincrement=False
    )


def _create_sign_in() -> None:
    op.create_table(
        "devices",
        sa.Column("id", _ID, primary_key=True),
        _user("user_id"),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.UniqueConstraint("user_id", "hash", name="uq_devices_user_id_hash"),
    )
    op.create_table(
        "passwords",
        _own_user(),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "links",
        _own_user(),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
    )
    op.create_table(
        "erased_names",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        _user("by_id", nullable=True),
        sa.Column("revoked", sa.BigInteger),
        sa.UniqueConstraint("hash", name="uq_invitations_hash"),
    )
    op.create_table(
        "invitation_uses",
        sa.Column("invitation_id", _ID, sa.ForeignKey("invitations.id"), primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id"), primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_administration() -> None:
    op.create_table(
        "bans",
        sa.Column("id", _ID, primary_key=True),
        _user("user_id", nullable=True),
        sa.Column("network", sa.String),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("reason", sa.String, nullable=False),
        _user("by_id", nullable=True),
        sa.UniqueConstraint("user_id", name="uq_bans_user_id"),
        sa.UniqueConstraint("network", name="uq_bans_network"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", _ID, primary_key=True),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("act", sa.String, nullable=False),
        _user("actor_id", nullable=True),
        _user("user_id", nullable=True),
        sa.Column("device_id", _ID),
        sa.Column("address", sa.String),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("operation", sa.String, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
    )
