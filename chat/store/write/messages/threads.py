"""Rules of followed threads: who follows them, and how far they have been read.

A user follows a thread by writing in it, by having written its root once someone replies, by being
mentioned in it, or by choice. Someone who stopped following it follows it again by writing in it,
or by choice.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, select, update

from chat.errors import CommandError, ErrorCode
from chat.store.channels import FollowThread, MarkedThread, MarkThread
from chat.store.operations import ThreadState, User
from chat.store.read.timeline import root_of
from chat.store.read.unread import THREADS
from chat.store.schema import followed_threads
from chat.store.sql import Prepared
from chat.store.write.access import find_channel
from chat.store.write.lookups import Channel, ReplyTarget
from chat.store.write.transaction import Transaction

__all__ = ["follow_answered", "follow_mentioned", "follow_thread", "mark_thread"]

_is_thread = (
    followed_threads.c.channel_id == bindparam("channel"),
    followed_threads.c.thread == bindparam("root"),
)
_is_follower = (*_is_thread, followed_threads.c.user_id == bindparam("user"))
_MARKER = Prepared(
    select(followed_threads.c.read_seq, followed_threads.c.following).where(*_is_follower)
)
_COUNTS = Prepared(THREADS.where(*_is_thread))
_ADD = Prepared(insert(followed_threads))
_CHANGE = Prepared(
    update(followed_threads)
    .where(*_is_follower)
    .values(read_seq=bindparam("to"), following=bindparam("is_following"))
)


def follow_answered(
    transaction: Transaction,
    channel: Channel,
    answered: ReplyTarget,
    seq: int,
    author: User,
    mentioned: Sequence[User],
) -> None:
    """Make the people whom the reply `seq` concerns follow its thread."""
    if not transaction.lookups.followers.get((author.id, channel.id, answered.root)):
        transaction.follow_thread(channel, answered.root, author, seq, is_writer=True)
    people = (answered.root_author, *mentioned)
    follow_mentioned(transaction, channel, answered.root, seq, people)


def follow_mentioned(
    transaction: Transaction, channel: Channel, root: int, seq: int, people: Sequence[User]
) -> None:
    """Make `people` follow a thread, with the reply `seq` as the first unread one."""
    for user in people:
        if (user.id, channel.id, root) not in transaction.lookups.followers:
            transaction.follow_thread(channel, root, user, seq - 1, is_writer=False)


def mark_thread(transaction: Transaction, operation: MarkThread) -> MarkedThread:
    """Move the read marker of a followed thread forward; that of another thread is not stored."""
    user, seq = operation.user, operation.seq
    channel = find_channel(transaction, user, operation.channel)
    if seq > channel.head:
        raise CommandError(
            ErrorCode.INVALID,
            f"seq: must be at most {channel.head}, the newest event of {channel.name}",
            field="seq",
        )
    root = _root_of(transaction, channel, operation.thread)
    where = {"channel": channel.id, "user": user.id, "root": root}
    marker = transaction.first(_MARKER, **where)
    moved = marker is not None and marker.following and marker.read_seq < seq
    if moved:
        transaction.execute(_CHANGE, **where, to=seq, is_following=True)
    return _marked(transaction, channel, user, root, moved=moved)


def follow_thread(transaction: Transaction, operation: FollowThread) -> MarkedThread:
    """Follow a thread, from its newest event on, or no longer."""
    user, following = operation.user, not operation.remove
    channel = find_channel(transaction, user, operation.channel)
    root = _root_of(transaction, channel, operation.thread)
    where = {"channel": channel.id, "user": user.id, "root": root}
    marker = transaction.first(_MARKER, **where)
    moved = following if marker is None else marker.following != following
    if marker is None:
        transaction.execute(
            _ADD,
            user_id=user.id,
            channel_id=channel.id,
            thread=root,
            read_seq=channel.head,
            following=following,
        )
    elif moved:
        transaction.execute(_CHANGE, **where, to=channel.head, is_following=following)
    transaction.lookups.followers[user.id, channel.id, root] = following
    return _marked(transaction, channel, user, root, moved=moved)


def _root_of(transaction: Transaction, channel: Channel, seq: int) -> int:
    """Return the root of the thread of a message. Raises no_such_message."""
    transaction.flush()
    return root_of(transaction.connection, channel.id, seq)


def _marked(
    transaction: Transaction, channel: Channel, user: User, root: int, *, moved: bool
) -> MarkedThread:
    row = transaction.first(
        _COUNTS,
        channel=channel.id,
        user=user.id,
        root=root,
        unread_limit=transaction.limits.unread,
    )
    if row is None:
        return MarkedThread(channel.state(), ThreadState(root, 0, 0, 0), False, moved)
    _channel, *state = row
    return MarkedThread(channel.state(), ThreadState(*state), True, moved)
