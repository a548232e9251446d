"""Normalize reactions, so that those that look the same are equal."""

import sqlalchemy as sa
from alembic import op

from chat.text import emoji_form

revision = "0009"
down_revision = "0008"

_SPELLINGS = sa.text("""
    SELECT e.channel_id, e.target, b.id, b.text FROM events e JOIN bodies b ON b.id = e.body_id
    WHERE e.kind = 'react' AND e.target IS NOT NULL""")
_SPELL = sa.text("UPDATE bodies SET text = :text WHERE id = :id")
_TOLD = sa.text("""
    SELECT e.seq, e.author_id, e.remove, e.body_id, b.text
    FROM events e JOIN bodies b ON b.id = e.body_id
    WHERE e.channel_id = :channel AND e.target = :target AND e.kind = 'react' AND NOT e.erased
    ORDER BY e.seq""")
_CLEAR = sa.text("DELETE FROM reactions WHERE channel_id = :channel AND target = :target")
_CLEAR_COUNTS = sa.text(
    "DELETE FROM reaction_counts WHERE channel_id = :channel AND target = :target"
)
_COUNT = sa.text("""
    INSERT INTO reaction_counts (channel_id, target, since, body_id, count)
    SELECT channel_id, target, since, min(body_id), count(*) FROM reactions
    WHERE channel_id = :channel AND target = :target GROUP BY channel_id, target, since""")
_ADD = sa.text("""
    INSERT INTO reactions (channel_id, target, seq, since, user_id, body_id)
    VALUES (:channel, :target, :seq, :since, :user, :body)""")


def upgrade() -> None:
    """Normalize reactions, and recompute those of the affected messages."""
    connection = op.get_bind()
    changed = [
        (row, form)
        for row in connection.execute(_SPELLINGS)
        if (form := emoji_form(row.text)) not in ("", row.text)
    ]
    for row, form in changed:
        connection.execute(_SPELL, {"id": row.id, "text": form})
    for channel, target in {(row.channel_id, row.target) for row, _ in changed}:
        _fold(connection, channel, target)


def _fold(connection: sa.Connection, channel: int, target: int) -> None:
    """Recompute the reactions of a message from its events."""
    where = {"channel": channel, "target": target}
    present: dict[str, dict[int, tuple[int, int]]] = {}  # (emoji, user) to (seq, body)
    since: dict[str, int] = {}
    for row in connection.execute(_TOLD, where):
        people = present.setdefault(row.text, {})
        if row.remove:
            people.pop(row.author_id, None)
        elif row.author_id not in people:
            since[row.text] = since[row.text] if people else row.seq
            people[row.author_id] = row.seq, row.body_id
    connection.execute(_CLEAR, where)
    for emoji, people in present.items():
        for user, (seq, body) in people.items():
            added = {"seq": seq, "since": since[emoji], "user": user, "body": body}
            connection.execute(_ADD, where | added)
    connection.execute(_CLEAR_COUNTS, where)
    connection.execute(_COUNT, where)
