"""The full-text index, which is derived from the log: opening the database creates it."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Change nothing."""
