"""The tables of the current schema.

Three decisions shape them:

- **The log is one B-tree per table, clustered by channel**: `events` has the key
  `(channel_id, seq)` and small rows, so a page of history is one walk however long the log is.
- **What people wrote lies apart, in `bodies`**, whose rows are only ever appended, and erased by
  overwriting them with as many spaces. SQLite's `secure_delete` is not enough: when it moves rows
  between pages it may leave a copy behind that no later deletion finds. Rows that never move leave
  no copies.
- **Words lie in an index of their own**, which is not listed here: see `fts5`.

A change here needs a migration (`migrations/versions`) and a new `REVISION`; a test compares both.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

from chat.protocol.limits import USUAL_LEVEL

__all__ = [
    "BODY_FIELDS",
    "REVISION",
    "bodies",
    "channels",
    "events",
    "members",
    "mentions",
    "meta",
    "metadata",
    "pins",
    "reaction_counts",
    "reactions",
    "tokens",
    "users",
]

REVISION = "0010"
"""The newest migration."""

# SQLite numbers rows by itself only where the type is INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
    sqlite_with_rowid=False,
)

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String, nullable=False),
    Column("fold", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("fold"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)

channels = Table(
    "channels",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String, nullable=False),
    Column("fold", String, nullable=False),
    Column("is_direct", Boolean, nullable=False),
    Column("epoch", String, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("topic", String, nullable=False),
    Column("member_count", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("fold"),
    Index(None, "is_direct", "fold"),
)

members = Table(
    "members",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("user_fold", String, nullable=False),  # a page of members is one walk of the index
    Column("role", String, nullable=False),
    Column("read_seq", BigInteger, nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("pinned", Integer, nullable=False, server_default="0"),
    Column("muted", Boolean, nullable=False, server_default=false()),
    Column("level", String, nullable=False, server_default=USUAL_LEVEL),
    Column("counted", Boolean, nullable=False, server_default=true()),  # against `limits.channels`
    Column("hidden", Boolean, nullable=False, server_default=false()),  # until the next message
    Index(None, "user_id"),
    Index(None, "channel_id", "user_fold", unique=True),
    sqlite_with_rowid=False,
)

bodies = Table(
    "bodies",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)
"""Texts of messages, topics, emoji of reactions. A message and its latest edit share one row."""

events = Table(
    "events",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("mid", String, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("author_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("is_line", Boolean, nullable=False),  # has a line of its own in a timeline
    Column("send_key", String),  # "<author_id>/<cid>": one column, so that IN finds many at once
    Column("target", BigInteger),
    Column("body_id", _Id, ForeignKey("bodies.id")),
    Column("me", Boolean, nullable=False),
    Column("reply_to", BigInteger),
    Column("remove", Boolean, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("last_edit", BigInteger),  # the edit whose text the message has now
    Column("erased", Boolean, nullable=False),
    Column("thread", BigInteger),  # the root of the thread that a reply is in
    UniqueConstraint("send_key"),
    Index(None, "channel_id", "is_line", "seq"),
    sqlite_with_rowid=False,
)
# Messages have no target: only what is about them pays for this index.
_has_target = events.c.target.is_not(None)
Index(
    "ix_events_channel_id_target",
    events.c.channel_id,
    events.c.target,
    sqlite_where=_has_target,
)
# Nor do messages that answer nothing pay for this one.
_has_thread = events.c.thread.is_not(None)
Index(
    "ix_events_channel_id_thread_seq",
    events.c.channel_id,
    events.c.thread,
    events.c.seq,
    sqlite_where=_has_thread,
)
# The full-text index takes up messages in the order of their texts.
Index("ix_events_body_id", events.c.body_id, sqlite_where=events.c.kind == "message")

mentions = Table(
    "mentions",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Index(None, "user_id", "channel_id", "seq"),
    sqlite_with_rowid=False,
)
"""Whom a message or an edit mentions, in the order of the text."""

reactions = Table(
    "reactions",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("target", BigInteger, primary_key=True),
    Column(
        "since", BigInteger, primary_key=True
    ),  # those of one emoji lie together, the first first
    Column("seq", BigInteger, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("body_id", _Id, ForeignKey("bodies.id"), nullable=False),
    # It holds all that is asked for by person: SQLite would not take it otherwise.
    Index(None, "channel_id", "target", "user_id", "since", unique=True),
    sqlite_with_rowid=False,
)
"""Reactions as they are now: `seq` of the event that added it, `since` of the emoji's first."""

reaction_counts = Table(
    "reaction_counts",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("target", BigInteger, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("body_id", _Id, ForeignKey("bodies.id"), nullable=False),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""How many have each emoji on a message: one row for each `since` of `reactions`."""

pins = Table(
    "pins",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("target", BigInteger, primary_key=True),
    Column("user_id", _Id),  # who pinned it; none noted for the oldest ones
    Index(None, "channel_id", "user_id"),
    sqlite_with_rowid=False,
)
"""Messages that are pinned now."""

BODY_FIELDS = {"message": "text", "edit": "text", "react": "emoji", "topic": "topic"}
"""The field of an event whose string lies in `bodies`."""
