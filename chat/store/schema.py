"""The tables of the current schema.

Three decisions determine their design:

- **One append-only table, `events`, holds the logs of all channels**, so a commit writes to the end
  of a single B-tree. A partial index for each access path (lines, changes, threads, targets, cids)
  finds the rows of a channel.
- **A row of `events` never changes its size, so it never moves.** SQLite's `secure_delete` does not
  suffice to erase a text: when SQLite moves rows between pages, it may leave a copy behind that a
  later deletion does not overwrite. A text is erased by overwriting it with the same number of
  spaces, and `flags` always takes two bytes. Changes to a message (edits, deletions, reactions,
  pins) are summarized in `folds`; an edited text is stored in the row of its edit.
- **The full-text index has its own tables**, which are defined in `fts5`.

A change here needs a migration (`migrations/versions`) and a new `REVISION`; a test compares both.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    literal_column,
    select,
    true,
)

from chat.protocol.limits import USUAL_LEVEL

__all__ = [
    "ACCOUNTS_KEY",
    "BODY_FIELDS",
    "ERASED",
    "KINDS",
    "KIND_BITS",
    "ME",
    "REMOVE",
    "REVISION",
    "THREAD_ONLY",
    "audit",
    "bans",
    "channel_bans",
    "channel_invitations",
    "channels",
    "code_of",
    "devices",
    "erased_names",
    "events",
    "flags_of",
    "folds",
    "followed_threads",
    "has_kind",
    "ignores",
    "invitation_uses",
    "invitations",
    "is_change",
    "is_in_timeline",
    "is_line",
    "is_thread_only",
    "is_unerased",
    "jobs",
    "kind_of",
    "links",
    "members",
    "mentions",
    "meta",
    "metadata",
    "mutes",
    "newest_ts",
    "pack_cid",
    "passwords",
    "pins",
    "reaction_counts",
    "reactions",
    "unpack_cid",
    "users",
]

REVISION = "0013"
"""The newest migration."""

# SQLite assigns row ids only to columns of the type INTEGER.
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

ACCOUNTS_KEY = "accounts_key"
"""The key in `meta` of the secret for HMACs of link codes and erased names, in hexadecimal."""

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String, nullable=False),
    Column("fold", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("role", String, nullable=False, server_default="member"),  # on the server
    Column("disabled", BigInteger),  # since when; NULL: not disabled
    # False until the first sign-in of an account that the operator added.
    Column("arrived", Boolean, nullable=False, server_default=true()),
    Column("is_erased", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("fold"),
)

devices = Table(
    "devices",
    metadata,
    Column("id", _Id, primary_key=True),  # never reused: revoked devices stay
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("label", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("seen", BigInteger),  # the last sign-in
    Column("revoked", BigInteger),  # since when; NULL: not revoked
    UniqueConstraint("user_id", "hash"),
)
"""Tokens, as SHA-256. A revoked token stays, so that it cannot be added again."""

passwords = Table(
    "passwords",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("hash", String, nullable=False),  # argon2id, with its parameters and salt
    Column("changed", BigInteger, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("mac", LargeBinary, nullable=False),  # of the name and the code
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),  # wrong ones
)
"""The current link code of an account."""

invitations = Table(
    "invitations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("role", String, nullable=False),
    Column("channels", Text, nullable=False),  # names, as a JSON list
    Column("by_id", _Id, ForeignKey("users.id")),  # NULL: the operator
    Column("revoked", BigInteger),
    UniqueConstraint("hash"),
)

invitation_uses = Table(
    "invitation_uses",
    metadata,
    Column("invitation_id", _Id, ForeignKey("invitations.id"), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    sqlite_with_rowid=False,
)
"""The accounts that were created with an invitation."""

bans = Table(
    "bans",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id")),
    Column("network", String),
    Column("created", BigInteger, nullable=False),
    Column("until", BigInteger),  # NULL: until lifted
    Column("reason", String, nullable=False),
    Column("by_id", _Id, ForeignKey("users.id")),  # NULL: the operator
    UniqueConstraint("user_id"),
    UniqueConstraint("network"),
)
"""Bans from the server, each of a user or a network."""

audit = Table(
    "audit",
    metadata,
    Column("seq", _Id, primary_key=True),
    Column("ts", BigInteger, nullable=False),
    Column("act", String, nullable=False),
    Column("actor_id", _Id, ForeignKey("users.id")),  # NULL: the operator or the server
    Column("user_id", _Id, ForeignKey("users.id")),
    Column("device_id", _Id),
    Column("address", String),
    Column("details", Text, nullable=False),  # JSON
)
"""Administrative acts on the server. Addresses are removed after 90 days, nothing else."""

erased_names = Table(
    "erased_names",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # HMAC of the folded name
    sqlite_with_rowid=False,
)
"""Names of erased accounts, which are never given out again."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("operation", String, nullable=False),
    Column("arguments", Text, nullable=False),  # JSON
    Column("result", Text),  # JSON; NULL until the server has done it
)
"""Work of the command line for the running server."""

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
    Column("is_private", Boolean, nullable=False, server_default=false()),
    # The settings that differ from `rights.DEFAULT`, without `private`; see `details`.
    Column("settings", String, nullable=False, server_default=""),
    Column("retention_from", BigInteger),  # when a changed retention takes effect
    Column("expired", BigInteger, nullable=False, server_default="0"),  # texts up to this seq
    Column("deleted", BigInteger),  # since when; NULL: not deleted
    UniqueConstraint("fold"),
    Index(None, "is_direct", "is_private", "fold"),
)
"""A deleted channel is called `deleted-<id>`, which no channel can be called."""

members = Table(
    "members",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("user_fold", String, nullable=False),  # sorts pages of members
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

mutes = Table(
    "mutes",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("until", BigInteger),  # NULL: until lifted
    Column("reason", String, nullable=False),
    Column("by_id", _Id, ForeignKey("users.id"), nullable=False),
    Index(None, "user_id"),
    sqlite_with_rowid=False,
)
"""Muted users by channel. A mute stays when the user leaves."""

channel_bans = Table(
    "channel_bans",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("channel_id", _Id, ForeignKey("channels.id"), nullable=False),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("until", BigInteger),  # NULL: until lifted
    Column("reason", String, nullable=False),
    Column("by_id", _Id, ForeignKey("users.id"), nullable=False),
    UniqueConstraint("channel_id", "user_id"),
    Index(None, "channel_id"),  # sorts pages of bans
)

channel_invitations = Table(
    "channel_invitations",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("by_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("created", BigInteger, nullable=False),
    # It does not reach the user, who ignores the inviter or is banned from the channel.
    Column("is_silent", Boolean, nullable=False),
    Index(None, "user_id", "created"),
    sqlite_with_rowid=False,
)

ignores = Table(
    "ignores",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("ignored_id", _Id, ForeignKey("users.id"), primary_key=True),
    sqlite_with_rowid=False,
)

followed_threads = Table(
    "followed_threads",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("thread", BigInteger, primary_key=True),  # its root
    Column("read_seq", BigInteger, nullable=False),
    Column("following", Boolean, nullable=False),  # False: the user stopped following it
    Index(None, "channel_id", "thread"),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True),  # increases monotonically
    Column("channel_id", _Id, ForeignKey("channels.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("author_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("flags", Integer, nullable=False),  # see `flags_of`
    Column("mid", LargeBinary, nullable=False),
    Column("cid", LargeBinary),  # see `pack_cid`
    Column("target", BigInteger),  # the message that a change applies to; None for a line
    Column("reply_to", BigInteger),
    Column("thread", BigInteger),  # the root of a reply's thread
    Column("text", Text),  # the string of the kind's field in `BODY_FIELDS`, or its `details`
)
"""All events: an event with a target changes a message, all others are lines of the timeline."""


def _partial_index(
    name: str, *columns: Column[Any], where: ColumnElement[bool], unique: bool = False
) -> None:
    """Add an index of the rows that meet `where`, which `info` has for other dialects.

    SQLAlchemy loads a dialect as soon as an argument has its name: that of PostgreSQL would take a
    tenth of each start.
    """
    Index(name, *columns, unique=unique, info={"where": where}, sqlite_where=where)


is_line = events.c.target.is_(None)
is_change = events.c.target.is_not(None)
# A covering index for unread counts.
_partial_index(
    "ix_events_lines",
    events.c.channel_id,
    events.c.seq,
    events.c.author_id,
    events.c.flags,
    events.c.target,
    where=is_line,
)
_partial_index(
    "ix_events_changes",
    events.c.channel_id,
    events.c.seq,
    unique=True,
    where=is_change,
)
_partial_index(
    "ix_events_channel_id_target",
    events.c.channel_id,
    events.c.target,
    where=is_change,
)
_has_thread = events.c.thread.is_not(None)
_partial_index(
    "ix_events_channel_id_thread_seq",
    events.c.channel_id,
    events.c.thread,
    events.c.seq,
    where=_has_thread,
)
# The cid comes first: a cid that begins with a timestamp goes to the end of the index.
_has_cid = events.c.cid.is_not(None)
_partial_index(
    "ix_events_cid",
    events.c.cid,
    events.c.author_id,
    unique=True,
    where=_has_cid,
)

folds = Table(
    "folds",
    metadata,
    Column("event_id", _Id, ForeignKey("events.id"), primary_key=True, autoincrement=False),
    Column("rev", BigInteger, nullable=False),
    Column("edit_id", _Id, ForeignKey("events.id")),
)
"""Changes to a message: the seq of the latest one, and the edit with its current text."""

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
"""Members mentioned by a message or an edit, in the order of the text."""

reactions = Table(
    "reactions",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("target", BigInteger, primary_key=True),
    Column("since", BigInteger, primary_key=True),  # groups the reactions of an emoji, oldest first
    Column("seq", BigInteger, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    # A covering index for lookups by user: SQLite's planner would not use it otherwise.
    Index(None, "channel_id", "target", "user_id", "since", unique=True),
    sqlite_with_rowid=False,
)
"""Current reactions; `seq` is the event that added a reaction.

`since` is the event that first added its emoji; the emoji is the text of that event."""

reaction_counts = Table(
    "reaction_counts",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("target", BigInteger, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Number of reactions per emoji of a message: one row for each `since` in `reactions`."""

pins = Table(
    "pins",
    metadata,
    Column("channel_id", _Id, ForeignKey("channels.id"), primary_key=True),
    Column("target", BigInteger, primary_key=True),
    Column("user_id", _Id),  # who pinned it; NULL for the oldest pins
    Index(None, "channel_id", "user_id"),
    sqlite_with_rowid=False,
)
"""Pinned messages."""

BODY_FIELDS = {"message": "text", "edit": "text", "react": "emoji", "topic": "topic"}
"""The field of each kind of event that is stored in `events.text`."""

KINDS = (
    *("message", "edit", "delete", "react", "pin", "topic", "join", "leave", "erased_user"),
    *("role", "settings", "ban", "mute", "expire", "deleted"),
)
"""The kinds of events. The code of a kind is its index, so new kinds go last."""
KIND_BITS = 31
ME, REMOVE, ERASED, THREAD_ONLY = 32, 64, 128, 512
_TWO_BYTES = 256
_CODES = {kind: code for code, kind in enumerate(KINDS)}


def code_of(kind: str) -> int:
    """Return the code of a kind."""
    return _CODES[kind]


def flags_of(
    kind: str, *, me: bool = False, remove: bool = False, thread_only: bool = False
) -> int:
    """Return the `flags` of a new event: its kind and three properties.

    An additional bit is always set, so that SQLite stores all flags in two bytes.
    """
    return (
        _TWO_BYTES
        | _CODES[kind]
        | (ME if me else 0)
        | (REMOVE if remove else 0)
        | (THREAD_ONLY if thread_only else 0)
    )


def kind_of(flags: int) -> str:
    """Return the kind encoded in `flags`."""
    return KINDS[flags & KIND_BITS]


def has_kind(kind: str, table: FromClause = events) -> ColumnElement[bool]:
    """Return the condition that an event has a kind."""
    return table.c.flags.bitwise_and(literal_column(str(KIND_BITS))) == literal_column(
        str(_CODES[kind])
    )


def is_unerased(kind: str, table: FromClause = events) -> ColumnElement[bool]:
    """Return the condition that an event has a kind and is not erased."""
    return table.c.flags.bitwise_and(literal_column(str(KIND_BITS | ERASED))) == literal_column(
        str(_CODES[kind])
    )


def _bits(bits: int) -> ColumnElement[int]:
    return events.c.flags.bitwise_and(literal_column(str(bits)))


is_in_timeline = _bits(KIND_BITS | ERASED | THREAD_ONLY) == literal_column(str(code_of("message")))
"""Whether an event is a message that is not erased, and not a reply in its thread only."""
is_thread_only = _bits(THREAD_ONLY) != literal_column("0")
"""Whether an event is a reply in its thread only."""
# A covering index for the unread counts of threads.
_partial_index(
    "ix_events_thread_only",
    events.c.channel_id,
    events.c.thread,
    events.c.seq,
    events.c.author_id,
    events.c.flags,
    where=is_thread_only,
)


def newest_ts(of: FromClause) -> ColumnElement[int]:
    """Return the time of the last event of a row of `of`: `channels` or an alias of it."""
    line, change = events.alias("newest_line"), events.alias("newest_change")
    return func.coalesce(
        select(line.c.ts)
        .where(line.c.channel_id == of.c.id, line.c.seq == of.c.head, line.c.target.is_(None))
        .correlate(of)
        .scalar_subquery(),
        select(change.c.ts)
        .where(
            change.c.channel_id == of.c.id, change.c.seq == of.c.head, change.c.target.is_not(None)
        )
        .correlate(of)
        .scalar_subquery(),
    )


_HEX, _TEXT = b"\0", b"\1"
_HEX_MIN = 16


def pack_cid(cid: str) -> bytes:
    """Return the stored form of a `cid`, which packs two hexadecimal digits into a byte.

    Packing preserves the order, so cids that begin with a timestamp are stored in its order.
    """
    if cid.isalnum() and len(cid) >= _HEX_MIN:
        with suppress(ValueError):
            packed = _HEX + bytes.fromhex(cid)
            if unpack_cid(packed) == cid:  # no capital letters
                return packed
    return _TEXT + cid.encode()


def unpack_cid(stored: bytes) -> str:
    """Return the original `cid` of a stored one (the inverse of `pack_cid`)."""
    return stored[1:].hex() if stored[:1] == _HEX else stored[1:].decode()
