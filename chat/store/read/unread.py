"""Unread counts: one definition for the writer and for readers.

Unread messages are undeleted messages of other users above the read marker, without those of
ignored users. A channel counts the messages of its timeline, a followed thread the replies that are
not in it. They are counted up to a limit and among the newest events only, so that the cost is
bounded.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)

from chat.store.schema import (
    channels,
    events,
    followed_threads,
    ignores,
    is_in_timeline,
    is_line,
    is_thread_only,
    is_unerased,
    members,
    mentions,
)

__all__ = [
    "COUNTS_OF_ONE",
    "NEWEST_MAX",
    "THREADS",
    "THREADS_MAX",
    "has_unread",
    "mentions_above",
    "newest_threads",
    "unread_above",
]

THREADS_MAX = 100
"""Most threads with unread replies that are listed for a channel."""
NEWEST_MAX = 20
"""The newest followed threads of a channel, which are listed also without unread replies."""
WINDOW = 10_000
"""Newest events of a channel among which unread messages are counted."""

_ALL = 2**31 - 1
"""A limit that no query reaches; PostgreSQL takes no negative one."""
_LIMIT = bindparam("unread_limit", type_=members.c.read_seq.type)
# Not of the enclosing query's user, so that SQLite reads the list once. The first condition is
# cheaper than the second, and most users ignore nobody.
_ignored = select(ignores.c.ignored_id).where(ignores.c.user_id == bindparam("user"))
_is_not_ignored = or_(not_(_ignored.exists()), events.c.author_id.not_in(_ignored))


def _floor(*markers: ColumnElement[int]) -> ColumnElement[int]:
    """Return the seq above which events count: the highest of `markers` and the window's start."""
    start = channels.c.head - WINDOW
    highest: ColumnElement[int] = markers[0]
    for marker in (start, *markers[1:]):
        highest = case((marker > highest, marker), else_=highest)
    return highest


def _count(rows: Select[Any], *outer: FromClause) -> ScalarSelect[int]:
    bounded = rows.correlate(*outer).limit(_LIMIT).subquery()
    return select(func.count()).select_from(bounded).scalar_subquery()


_one: ColumnElement[int] = literal_column("1").label("one")
_above = _floor(members.c.read_seq)
_of_others: tuple[ColumnElement[bool], ...] = (
    events.c.author_id != members.c.user_id,
    _is_not_ignored,
)
_is_unread = (is_line, is_in_timeline, *_of_others)

unread_above = _count(
    select(_one).where(
        events.c.channel_id == members.c.channel_id, events.c.seq > _above, *_is_unread
    ),
    members,
    channels,
)
"""Unread messages of a row of `members` joined with `channels` in the enclosing query."""

_mentioned = select(_one).join_from(
    mentions,
    events,
    # The sum makes SQLite start from the mentions instead of all newer messages.
    (events.c.channel_id == mentions.c.channel_id)
    & (events.c.seq == mentions.c.seq + literal_column("0")),
)
mentions_above = _count(
    _mentioned.where(
        mentions.c.user_id == members.c.user_id,
        mentions.c.channel_id == members.c.channel_id,
        mentions.c.seq > _above,
        *_is_unread,
    ),
    members,
    channels,
)
"""Unread messages that mention the user."""

COUNTS_OF_ONE = (
    select(members.c.read_seq, unread_above, mentions_above)
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user"))
)
"""Read marker, unread count and mentions of `user` in `channel`, up to `unread_limit`."""

_thread = followed_threads.c
_in_thread_above = _floor(_thread.read_seq, members.c.joined_seq)
_is_unread_reply = (is_thread_only, is_unerased("message"), *_of_others)
_replies = select(_one).where(
    events.c.channel_id == _thread.channel_id,
    events.c.thread == _thread.thread,
    events.c.seq > _in_thread_above,
    *_is_unread_reply,
)
# From the replies: the user may have thousands of mentions in the channel.
_mentions_follower = (
    exists()
    .where(
        mentions.c.user_id == _thread.user_id,
        mentions.c.channel_id == _thread.channel_id,
        mentions.c.seq == events.c.seq,
    )
    .correlate(followed_threads, events)
)
_outer = (followed_threads, members, channels)
THREADS = (
    select(
        _thread.channel_id,
        _thread.thread,
        _thread.read_seq,
        _count(_replies, *_outer).label("unread"),
        _count(_replies.where(_mentions_follower), *_outer).label("mentions"),
    )
    .join_from(
        followed_threads,
        members,
        (members.c.channel_id == _thread.channel_id) & (members.c.user_id == _thread.user_id),
    )
    .join(channels, channels.c.id == members.c.channel_id)
    .where(_thread.user_id == bindparam("user"), _thread.following == true())
)
"""The threads that `user` follows, with their counts up to `unread_limit`."""

has_unread = exists(_replies.correlate(*_outer))
"""Whether a row of `THREADS` has unread replies."""


_newer = followed_threads.alias("newer")
_oldest_listed = (
    select(_newer.c.thread)
    .where(
        _newer.c.user_id == members.c.user_id,
        _newer.c.channel_id == members.c.channel_id,
        _newer.c.following == true(),
    )
    .order_by(_newer.c.thread.desc())
    .limit(1)
    .offset(NEWEST_MAX - 1)
    .correlate(members)
    .scalar_subquery()
)


def newest_threads(*where: ColumnElement[bool]) -> Select[Any]:
    """Return a query for the newest threads that `user` follows in each channel, without counts.

    `where` are conditions on the user's rows of `members`.
    """
    listed = (
        select(
            members.c.user_id,
            members.c.channel_id,
            func.coalesce(_oldest_listed, 0).label("oldest"),
        )
        .where(members.c.user_id == bindparam("user"), *where)
        .limit(_ALL)  # so SQLite begins with it, instead of reading all followed threads
        .subquery()
    )
    return (
        select(_thread.channel_id, _thread.thread, _thread.read_seq)
        .join_from(
            listed,
            followed_threads,
            (_thread.user_id == listed.c.user_id)
            & (_thread.channel_id == listed.c.channel_id)
            & (_thread.thread >= listed.c.oldest),
        )
        .where(_thread.following == true())
        .order_by(_thread.thread.desc())
    )
