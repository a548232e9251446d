"""Reactions and pins: applied once, limited per message and channel, removed by deletion."""

from __future__ import annotations

from collections.abc import Callable

from chat.errors import ErrorCode
from chat.protocol.items import Item
from chat.protocol.values import Limits
from chat.store.accounts import SignedIn, SignIn
from chat.store.operations import User
from chat.store.read.reader import Reader
from tests.store.opened import OpenStore, delete, items_of, message, pin, react


def test_reactions_list_their_users(store: OpenStore, alice: User, bob: User) -> None:
    seq = store.send(alice)
    for user, emoji in ((bob, "+1"), (alice, "heart"), (alice, "+1")):
        done = store.append(react(user, seq, emoji))
        assert store.last_event is not None
        assert (store.last_event.kind, store.last_event.target, store.last_event.emoji) == (
            "react",
            seq,
            emoji,
        )
    item = store.item(alice, seq)
    assert list(item.reactions.items()) == [("+1", ("Bob", "alice")), ("heart", ("alice",))]
    assert item.rev == done.seq


def test_repeated_reaction_is_not_appended(store: OpenStore, alice: User) -> None:
    seq = store.send(alice)
    store.append(react(alice, seq, "+1"))
    again = store.append(react(alice, seq, "+1", cid="c"))
    assert again.duplicate
    assert (store.last_event, again.seq, again.mid, again.ts) == (None, None, None, None)


def test_reaction_is_removed(store: OpenStore, alice: User, bob: User) -> None:
    seq = store.send(alice)
    store.append(react(alice, seq, "+1"))
    assert store.append(react(bob, seq, "+1", remove=True)).duplicate
    done = store.append(react(alice, seq, "+1", remove=True))
    assert store.last_event is not None
    assert (store.last_event.remove, store.last_event.emoji) == (True, "+1")
    item = store.item(alice, seq)
    assert (item.reactions, item.rev) == ({}, done.seq)
    assert not store.append(react(alice, seq, "+1")).duplicate


def test_emoji_keeps_its_position_until_its_last_reaction_is_removed(
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


def test_number_of_different_emoji_is_limited(open_store: Callable[..., OpenStore]) -> None:
    store = open_store(Limits(reactions=2))
    alice, bob = store.sign_in("alice"), store.sign_in("bob")
    seq = store.send(alice)
    for emoji in ("a", "b"):
        store.append(react(alice, seq, emoji))
    assert store.refused(react(bob, seq, "c")) is ErrorCode.LIMIT_REACHED
    assert not store.append(react(bob, seq, "a")).duplicate


def test_only_members_can_react_and_only_to_messages(
    store: OpenStore, alice: User, bob: User
) -> None:
    assert store.refused(react(alice, 1, "x")) is ErrorCode.NO_SUCH_MESSAGE
    seq = store.send(alice)
    store.leave(bob, "#general")
    assert store.refused(react(bob, seq, "x")) is ErrorCode.NOT_A_MEMBER


def crowd(store: OpenStore, size: int) -> list[User]:
    outcomes = store.together([SignIn(f"user{number}", None, b"x") for number in range(size)])
    return [outcome.user for outcome in outcomes if isinstance(outcome, SignedIn)]


def resumed_item(store: OpenStore, user: User, seq: int) -> Item:
    resumed = store.read(
        lambda reader: reader.resume(user, "#general", None, limit=200, window=1_000)
    )
    return next(item for item in items_of(resumed) if item.seq == seq)


def test_many_reactions_list_the_first_users_and_the_reader_and_a_count(
    store: OpenStore, alice: User
) -> None:
    seq = store.send(alice)
    people = crowd(store, 30)
    store.together([react(user, seq, "+1") for user in people])
    store.together([react(user, seq, "heart") for user in people[:3]])
    first = tuple(user.name for user in people[:20])
    seen = store.item(alice, seq)
    assert seen.reactions == {"+1": first, "heart": first[:3]}
    assert seen.reaction_counts == {"+1": 30}
    for own, names in ((people[2], first), (people[25], (*first, "user25"))):
        assert store.item(own, seq).reactions == {"+1": names, "heart": first[:3]}
        assert resumed_item(store, own, seq).reactions["+1"] == names
    for user in (people[0], people[25]):
        store.append(react(user, seq, "+1", remove=True))
    seen = store.item(people[25], seq)
    assert seen.reactions["+1"] == tuple(user.name for user in people[1:21])
    assert seen.reaction_counts == {"+1": 28}
    store.together([react(user, seq, "+1", remove=True) for user in people[5:]])
    seen = store.item(alice, seq)
    assert seen.reactions["+1"] == tuple(user.name for user in people[1:5])
    assert seen.reaction_counts == {}
    store.append(delete(alice, seq))
    assert not store.item(alice, seq).reactions
    assert not store.problems()


def test_one_person_cannot_use_up_the_emoji_of_a_message(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store(Limits(own_reactions=2))
    alice, bob = store.sign_in("alice"), store.sign_in("bob")
    seq = store.send(alice)
    for emoji in ("a", "b"):
        store.append(react(alice, seq, emoji))
    assert store.refused(react(alice, seq, "c")) is ErrorCode.LIMIT_REACHED
    store.append(react(bob, seq, "c"))
    assert store.refused(react(alice, seq, "c")) is ErrorCode.LIMIT_REACHED
    store.append(react(alice, seq, "a", remove=True))
    assert not store.append(react(alice, seq, "c")).duplicate


def test_total_number_of_reactions_to_a_message_is_limited(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store(Limits(reactors=3))
    alice, bob = store.sign_in("alice"), store.sign_in("bob")
    seq = store.send(alice)
    for user, emoji in ((alice, "a"), (bob, "a"), (bob, "b")):
        store.append(react(user, seq, emoji))
    assert store.refused(react(alice, seq, "b")) is ErrorCode.LIMIT_REACHED
    store.append(react(bob, seq, "b", remove=True))
    assert not store.append(react(alice, seq, "b")).duplicate


def pinned(store: OpenStore, user: User, before: int | None = None, limit: int = 50) -> list[int]:
    def read(reader: Reader) -> list[int]:
        page = reader.page(user, "#general", pins=True, before=before, limit=limit)
        return [item.seq for item in items_of(page)]

    return store.read(read)


def test_any_member_can_pin_and_unpin_for_all(store: OpenStore, alice: User, bob: User) -> None:
    seqs = [store.send(alice) for _ in range(3)]
    done = store.append(pin(bob, seqs[2]))
    assert store.last_event is not None
    assert (store.last_event.kind, store.last_event.target, store.last_event.remove) == (
        "pin",
        seqs[2],
        False,
    )
    store.append(pin(alice, seqs[0]))
    assert pinned(store, alice) == [seqs[0], seqs[2]]
    assert pinned(store, alice, before=seqs[2]) == [seqs[0]]
    resumed = store.read(lambda reader: reader.resume(bob, "#general", None, limit=9, window=9))
    assert resumed.pins == (seqs[0], seqs[2])
    item = store.item(alice, seqs[2])
    assert (item.pinned, item.rev) == (True, done.seq)
    store.append(pin(alice, seqs[2], remove=True))
    assert not store.item(bob, seqs[2]).pinned
    assert pinned(store, bob) == [seqs[0]]


def test_repeated_pin_is_not_appended(store: OpenStore, alice: User, bob: User) -> None:
    seq = store.send(alice)
    assert store.append(pin(alice, seq, remove=True)).duplicate
    store.append(pin(alice, seq))
    again = store.append(pin(bob, seq))
    assert (again.duplicate, store.last_event) == (True, None)


def test_a_deleted_message_loses_its_pin(store: OpenStore, alice: User) -> None:
    seq = store.send(alice)
    store.append(pin(alice, seq))
    store.append(delete(alice, seq))
    assert pinned(store, alice) == []
    assert not store.item(alice, seq).pinned
    assert store.refused(pin(alice, seq)) is ErrorCode.NO_SUCH_MESSAGE
    assert not store.problems()


def test_number_of_pins_in_a_channel_is_limited(open_store: Callable[..., OpenStore]) -> None:
    store = open_store(Limits(pins=1))
    alice = store.sign_in("alice")
    one, two = store.send(alice), store.send(alice)
    store.append(pin(alice, one))
    assert store.refused(pin(alice, two)) is ErrorCode.LIMIT_REACHED
    store.append(pin(alice, one, remove=True))
    store.append(pin(alice, two))
    assert pinned(store, alice) == [two]


def test_only_members_can_pin_and_only_messages(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    outcomes = store.together([message(alice, channel="#dev")])
    assert outcomes
    assert store.refused(pin(bob, 2, "#dev")) is ErrorCode.NOT_A_MEMBER
    assert store.refused(pin(alice, 1, "#dev")) is ErrorCode.NO_SUCH_MESSAGE


def test_one_member_cannot_use_up_the_pins_of_a_channel(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store(Limits(own_pins=1))
    alice, bob = store.sign_in("alice"), store.sign_in("bob")
    store.join(alice, "#tea")
    store.join(bob, "#tea")
    first, second = (store.send(alice, channel="#tea") for _ in range(2))
    store.append(pin(bob, first, "#tea"))
    assert store.refused(pin(bob, second, "#tea")) is ErrorCode.LIMIT_REACHED
    store.append(pin(alice, second, "#tea"))
    third = store.send(alice, channel="#tea")
    assert not store.append(pin(alice, third, "#tea")).duplicate, "an owner may pin more"
    store.append(pin(alice, first, "#tea", remove=True))
    store.append(pin(alice, third, "#tea", remove=True))
    assert not store.append(pin(bob, third, "#tea")).duplicate
