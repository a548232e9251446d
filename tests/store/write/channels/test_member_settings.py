"""Read markers and channel preferences: private to a member, and checked for membership."""

from __future__ import annotations

from collections.abc import Callable

from chat.errors import CommandError, ErrorCode
from chat.protocol.values import Limits
from chat.store.operations import MarkRead, Prefer, Preference, Preferred, User
from chat.store.read import unread
from tests.store.opened import OpenStore, delete, edit, message, react, topic


def counts(store: OpenStore, user: User) -> tuple[int, int, int]:
    """Return marker, unread count and mentions; check that all reads agree."""
    membership = store.membership(user)
    (membership,) = store.read(lambda reader: reader.memberships(user))
    seen = (membership.read, membership.unread, membership.mentions)
    assert seen == (membership.read, membership.unread, membership.mentions)
    return seen


def test_messages_of_others_are_unread(store: OpenStore, alice: User, bob: User) -> None:
    theirs = store.send(alice, "hello @bob")
    store.send(bob, "hello myself, @bob")
    store.append(react(alice, theirs, "x"))
    store.append(edit(alice, theirs, "hello again, @bob"))
    store.append(topic(alice, "t"))
    assert counts(store, bob) == (2, 1, 1)
    store.append(delete(alice, theirs))
    assert counts(store, bob) == (2, 0, 0)


def test_read_marker_only_moves_forward(store: OpenStore, alice: User, bob: User) -> None:
    seqs = [store.send(alice, "@bob") for _ in range(3)]
    done = store.mark(bob, seqs[1])
    assert (done.read, done.unread, done.mentions, done.moved) == (seqs[1], 1, 1, True)
    for seq in seqs[:2]:
        again = store.mark(bob, seq)
        assert (again.read, again.unread, again.moved) == (seqs[1], 1, False)
    assert counts(store, bob) == (seqs[1], 1, 1)
    assert counts(store, alice)[1:] == (0, 0)


def test_unread_counts_include_messages_of_the_same_commit(
    store: OpenStore, alice: User, bob: User
) -> None:
    *_sent, marked = store.together(
        [message(alice), message(alice, "@bob"), MarkRead(bob, "#general", 3)]
    )
    assert (getattr(marked, "unread", None), getattr(marked, "mentions", None)) == (1, 1)


def test_marker_beyond_the_head_is_refused(store: OpenStore, alice: User) -> None:
    outcome = store.outcome(MarkRead(alice, "#general", 2))
    assert isinstance(outcome, CommandError)
    assert (outcome.code, outcome.field) == (ErrorCode.INVALID, "seq")


def test_only_members_can_move_a_marker(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    assert store.refused(MarkRead(bob, "#dev", 1)) is ErrorCode.NOT_A_MEMBER
    assert store.refused(MarkRead(bob, "#none", 1)) is ErrorCode.NO_SUCH_CHANNEL
    assert store.refused(MarkRead(bob, "@alice,carol", 1)) is ErrorCode.NO_SUCH_CHANNEL


def test_unread_count_stops_at_the_limit(open_store: Callable[..., OpenStore]) -> None:
    store = open_store(Limits(unread=3))
    alice, bob = store.sign_in("alice"), store.sign_in("bob")
    store.together([message(alice, "@bob") for _ in range(5)])
    assert counts(store, bob)[1:] == (3, 3)


def test_only_the_newest_events_are_counted(store: OpenStore, alice: User, bob: User) -> None:
    store.send(alice, "long ago, @bob")
    for _ in range(unread.WINDOW // 1_000):
        store.together([message(bob)] * 1_000)
    assert counts(store, bob) == (2, 0, 0)
    store.send(alice, "@bob")
    assert counts(store, bob) == (2, 1, 1)


USUAL = Preference(0, False, "mentions")


def prefer(store: OpenStore, operation: Prefer) -> Preferred:
    outcome = store.outcome(operation)
    assert isinstance(outcome, Preferred), outcome
    return outcome


def test_omitted_preferences_remain_unchanged(store: OpenStore, alice: User, bob: User) -> None:
    assert store.membership(alice).preference == USUAL
    assert prefer(store, Prefer(alice, "#general", pinned=2)).changed
    assert prefer(store, Prefer(alice, "#GENERAL", muted=True)).changed
    done = prefer(store, Prefer(alice, "#general", level="all"))
    assert done.preference == store.membership(alice).preference == Preference(2, True, "all")
    assert not prefer(store, Prefer(alice, "#general", pinned=2, level="all")).changed
    assert prefer(store, Prefer(alice, "#general", 0, False, "mentions")).preference == USUAL
    assert store.membership(bob).preference == USUAL


def test_preferences_are_listed_and_end_with_the_membership(
    store: OpenStore, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        store.join(user, "#dev")
    prefer(store, Prefer(bob, "#dev", 1, True, "none"))
    dev = store.read(lambda reader: reader.memberships(bob))[0]
    assert (dev.channel.name, dev.preference) == ("#dev", Preference(1, True, "none"))
    store.leave(bob, "#dev")
    store.join(bob, "#dev")
    assert store.membership(bob, "#dev").preference == USUAL


def test_only_members_can_set_preferences(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    assert store.refused(Prefer(bob, "#dev", 1)) is ErrorCode.NOT_A_MEMBER
    assert store.refused(Prefer(bob, "#none", 1)) is ErrorCode.NO_SUCH_CHANNEL
    assert store.refused(Prefer(bob, "@alice,carol", 1)) is ErrorCode.NO_SUCH_CHANNEL
