"""Reactions: once per person and emoji, in the order of first use, up to a limit."""

from __future__ import annotations

from collections.abc import Callable

from chat.errors import ErrorCode
from chat.protocol.values import Limits
from chat.store.ops import User
from tests.store.opened import OpenStore, react


def test_reactions_are_listed_with_who_has_them(store: OpenStore, alice: User, bob: User) -> None:
    seq = store.send(alice)
    for user, emoji in ((bob, "+1"), (alice, "heart"), (alice, "+1")):
        done = store.append(react(user, seq, emoji))
        assert done.event is not None
        assert (done.event.kind, done.event.target, done.event.emoji) == ("react", seq, emoji)
    item = store.item(alice, seq)
    assert list(item.reactions.items()) == [("+1", ("Bob", "alice")), ("heart", ("alice",))]
    assert item.rev == done.seq


def test_what_is_there_is_not_added_again(store: OpenStore, alice: User) -> None:
    seq = store.send(alice)
    store.append(react(alice, seq, "+1"))
    again = store.append(react(alice, seq, "+1", cid="c"))
    assert again.duplicate
    assert (again.event, again.seq, again.mid, again.ts) == (None, None, None, None)
    assert again.channel.head == seq + 1


def test_removing(store: OpenStore, alice: User, bob: User) -> None:
    seq = store.send(alice)
    store.append(react(alice, seq, "+1"))
    assert store.append(react(bob, seq, "+1", remove=True)).duplicate
    done = store.append(react(alice, seq, "+1", remove=True))
    assert done.event is not None
    assert (done.event.remove, done.event.emoji) == (True, "+1")
    item = store.item(alice, seq)
    assert (item.reactions, item.rev) == ({}, done.seq)
    assert store.append(react(alice, seq, "+1")).event


def test_an_emoji_keeps_its_place_while_anybody_has_it(
    store: OpenStore, alice: User, bob: User
) -> None:
    seq = store.send(alice)
    for user, emoji in ((alice, "a"), (alice, "b"), (bob, "a")):
        store.append(react(user, seq, emoji))
    store.append(react(alice, seq, "a", remove=True))
    assert list(store.item(bob, seq).reactions) == ["a", "b"]
    store.append(react(bob, seq, "a", remove=True))
    store.append(react(alice, seq, "a"))
    assert list(store.item(bob, seq).reactions) == ["b", "a"]


def test_different_emoji_are_limited(open_store: Callable[..., OpenStore]) -> None:
    store = open_store(Limits(reactions=2))
    alice, bob = store.sign_in("alice"), store.sign_in("bob")
    seq = store.send(alice)
    for emoji in ("a", "b"):
        store.append(react(alice, seq, emoji))
    assert store.refused(react(bob, seq, "c")) is ErrorCode.LIMIT_REACHED
    assert store.append(react(bob, seq, "a")).event


def test_only_to_messages_and_by_members(store: OpenStore, alice: User, bob: User) -> None:
    assert store.refused(react(alice, 1, "x")) is ErrorCode.NO_SUCH_MESSAGE
    seq = store.send(alice)
    store.leave(bob, "#general")
    assert store.refused(react(bob, seq, "x")) is ErrorCode.NOT_A_MEMBER
