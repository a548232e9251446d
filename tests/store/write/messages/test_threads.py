"""Followed threads: who follows them, and how many unread replies they have."""

from __future__ import annotations

import pytest

from chat.errors import ErrorCode
from chat.store.channels import FollowThread, IgnoreUser, MarkedThread, MarkThread
from chat.store.operations import SendMessage, ThreadState, User
from chat.store.read.unread import NEWEST_MAX, THREADS_MAX
from tests.store.opened import OpenStore, delete, edit


@pytest.fixture
def carol(store: OpenStore, bob: User) -> User:
    """Return a third member of #general."""
    return store.sign_in("carol")


def reply(
    store: OpenStore, user: User, to: int, text: str = "reply", *, thread_only: bool = True
) -> int:
    sent = store.append(SendMessage(user, "#general", text, reply_to=to, thread_only=thread_only))
    assert sent.seq is not None
    return sent.seq


def threads(store: OpenStore, user: User) -> list[ThreadState]:
    """Return the followed threads with unread replies."""
    return [each for each in followed(store, user) if each.unread]


def followed(store: OpenStore, user: User) -> list[ThreadState]:
    """Return the listed followed threads; all readers must agree about them."""
    one = store.membership(user).threads
    listed = store.read(lambda reader: reader.memberships(user))
    assert [each.threads for each in listed if each.channel.name == "#general"] == [one]
    return list(one)


def mark(store: OpenStore, user: User, thread: int, seq: int) -> MarkedThread:
    return store.do(MarkThread(user, "#general", thread, seq))


def test_author_of_the_root_follows_from_the_first_reply_on(
    store: OpenStore, alice: User, bob: User
) -> None:
    root = store.send(alice)
    assert threads(store, alice) == []
    first = reply(store, bob, root)
    reply(store, bob, first)
    assert threads(store, alice) == [ThreadState(root, first - 1, 2, 2 - 1)]


def test_writer_of_a_reply_follows_what_comes_later(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    root = store.send(alice)
    reply(store, bob, root)
    own = reply(store, carol, root)
    assert threads(store, carol) == []
    reply(store, alice, root)
    assert threads(store, carol) == [ThreadState(root, own, 1, 0)]
    assert [each.unread for each in threads(store, bob)] == [2]


def test_mentioned_people_follow_the_thread(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    root = store.send(alice)
    seq = reply(store, bob, root, "ask @carol")
    assert threads(store, carol) == [ThreadState(root, seq - 1, 1, 1)]


def test_mention_in_an_edited_reply_makes_follow(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    root = store.send(alice)
    seq = reply(store, bob, root)
    store.append(edit(bob, seq, "ask @carol"))
    reply(store, bob, root)
    assert threads(store, carol) == [ThreadState(root, seq - 1, 2, 1)]


def test_reply_in_the_timeline_counts_in_the_channel_only(
    store: OpenStore, alice: User, bob: User
) -> None:
    root = store.send(alice)
    store.mark(alice, root)
    reply(store, bob, root, thread_only=False)
    assert (store.membership(alice).unread, threads(store, alice)) == (1, [])
    reply(store, bob, root)
    assert store.membership(alice).unread == 1
    assert [(each.unread, each.mentions) for each in threads(store, alice)] == [(1, 1)]


def test_old_client_that_replies_in_the_timeline_follows_the_thread(
    store: OpenStore, alice: User, bob: User
) -> None:
    root = store.send(alice)
    reply(store, bob, root, thread_only=False)
    reply(store, alice, root)
    assert [each.unread for each in threads(store, bob)] == [1]


def test_own_deleted_and_ignored_replies_do_not_count(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    root = store.send(alice)
    gone = reply(store, bob, root)
    reply(store, carol, root, "@alice")
    reply(store, alice, root)
    store.append(delete(bob, gone))
    assert [(each.unread, each.mentions) for each in threads(store, alice)] == [(1, 1)]
    store.do(IgnoreUser(alice, "carol"))
    assert threads(store, alice) == []


def test_marker_moves_forward_only(store: OpenStore, alice: User, bob: User) -> None:
    root = store.send(alice)
    first, second = reply(store, bob, root), reply(store, bob, root)
    marked = mark(store, alice, root, first)
    assert (marked.state, marked.following, marked.moved) == (
        ThreadState(root, first, 1, 1),
        True,
        True,
    )
    assert not mark(store, alice, root, first - 1).moved
    assert mark(store, alice, second, second).state == ThreadState(root, second, 0, 0)
    assert threads(store, alice) == []
    assert store.refused(MarkThread(alice, "#general", root, second + 10)) is ErrorCode.INVALID


def test_marker_of_a_thread_that_is_not_followed_is_not_stored(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    root = store.send(alice)
    first = reply(store, bob, root)
    marked = mark(store, carol, root, first)
    assert (marked.following, marked.moved) == (False, False)
    second = reply(store, bob, root, "@carol")
    assert threads(store, carol) == [ThreadState(root, second - 1, 1, 1)]


def test_user_who_stopped_following_follows_again_by_writing_only(
    store: OpenStore, alice: User, bob: User
) -> None:
    root = store.send(alice)
    reply(store, bob, root)
    stopped = store.do(FollowThread(alice, "#general", root, remove=True))
    assert (stopped.following, stopped.moved) == (False, True)
    assert not store.do(FollowThread(alice, "#general", root, remove=True)).moved
    reply(store, bob, root, "@alice")
    assert threads(store, alice) == []
    reply(store, alice, root)
    reply(store, bob, root)
    assert [each.thread for each in threads(store, alice)] == [root]


def test_followed_thread_counts_from_its_newest_event_on(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    root = store.send(alice)
    first = reply(store, bob, root)
    followed = store.do(FollowThread(carol, "#general", first))
    assert (followed.state, followed.following, followed.moved) == (
        ThreadState(root, first, 0, 0),
        True,
        True,
    )
    assert not store.do(FollowThread(carol, "#general", root)).moved
    reply(store, bob, root)
    assert threads(store, carol) == [ThreadState(root, first, 1, 0)]


def test_threads_of_others_are_hidden(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#tea")
    root = store.send(alice, channel="#tea")
    for operation in (MarkThread(bob, "#tea", root, root), FollowThread(bob, "#tea", root)):
        assert store.refused(operation) is ErrorCode.NOT_A_MEMBER
    assert store.refused(FollowThread(alice, "#tea", 1)) is ErrorCode.NO_SUCH_MESSAGE
    assert store.refused(MarkThread(alice, "#tea", 1, 1)) is ErrorCode.NO_SUCH_MESSAGE


def test_former_member_who_returns_reads_from_there_on(
    store: OpenStore, alice: User, bob: User
) -> None:
    root = store.send(alice)
    reply(store, bob, root)
    store.leave(alice, "#general")
    reply(store, bob, root)
    store.join(alice, "#general")
    assert threads(store, alice) == []
    reply(store, bob, root)
    assert [each.unread for each in threads(store, alice)] == [1]


def test_newest_threads_come_first(store: OpenStore, alice: User, bob: User) -> None:
    roots = [store.send(alice) for _ in range(3)]
    for root in roots:
        reply(store, bob, root)
    assert [each.thread for each in threads(store, alice)] == roots[::-1]


def test_many_replies_of_one_commit_follow_once(store: OpenStore, alice: User, bob: User) -> None:
    root = store.send(alice)
    store.together(
        [
            SendMessage((alice, bob)[n % 2], "#general", "x", reply_to=root, thread_only=True)
            for n in range(20)
        ]
    )
    assert [each.unread for each in threads(store, alice)] == [10]
    assert store.problems() == []


def test_newest_followed_threads_are_listed_without_unread_replies(
    store: OpenStore, alice: User, bob: User
) -> None:
    roots = [store.send(alice) for _ in range(NEWEST_MAX + 3)]
    own = [reply(store, bob, root) for root in roots]
    expected = [
        ThreadState(root, read, 0, 0) for root, read in zip(roots[3:], own[3:], strict=True)
    ]
    assert followed(store, bob) == expected[::-1]
    reply(store, alice, roots[0])
    reply(store, alice, roots[5])
    newest_first = followed(store, bob)
    assert [each.thread for each in newest_first[:2]] == [roots[5], roots[0]]
    assert [each.unread for each in newest_first] == [1, 1, *[0] * (NEWEST_MAX - 1)]
    store.do(FollowThread(bob, "#general", roots[-1], remove=True))
    assert roots[-1] not in [each.thread for each in followed(store, bob)]


def test_a_hundred_threads_are_listed_and_only_own_mentions_count(
    store: OpenStore, alice: User, bob: User, carol: User
) -> None:
    roots = [store.send(alice) for _ in range(THREADS_MAX + 5)]
    store.together(
        [SendMessage(bob, "#general", "@carol", reply_to=root, thread_only=True) for root in roots]
    )
    listed = threads(store, alice)
    assert [each.thread for each in listed] == roots[: -THREADS_MAX - 1 : -1]
    assert {(each.unread, each.mentions) for each in listed} == {(1, 1)}
    reply(store, carol, roots[-1], "to alice, who wrote the root")
    assert [(each.unread, each.mentions) for each in threads(store, bob)] == [(1, 0)]
