"""Pins: a message is pinned for everybody, or not; deletion ends it; a channel has few."""

from __future__ import annotations

from collections.abc import Callable

from chat.errors import ErrorCode
from chat.protocol.values import Limits
from chat.store.operations import User
from chat.store.read.reader import Reader
from tests.store.opened import OpenStore, delete, message, pin


def pinned(store: OpenStore, user: User, before: int | None = None, limit: int = 50) -> list[int]:
    def read(reader: Reader) -> list[int]:
        page = reader.page(user, "#general", pins=True, before=before, limit=limit)
        return [item.seq for item in page.items]

    return store.read(read)


def test_any_member_pins_and_unpins_for_everybody(store: OpenStore, alice: User, bob: User) -> None:
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


def test_what_is_so_already_is_not_appended(store: OpenStore, alice: User, bob: User) -> None:
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


def test_a_channel_has_only_so_many(open_store: Callable[..., OpenStore]) -> None:
    store = open_store(Limits(pins=1))
    alice = store.sign_in("alice")
    one, two = store.send(alice), store.send(alice)
    store.append(pin(alice, one))
    assert store.refused(pin(alice, two)) is ErrorCode.LIMIT_REACHED
    store.append(pin(alice, one, remove=True))
    store.append(pin(alice, two))
    assert pinned(store, alice) == [two]


def test_only_members_pin_and_only_messages(store: OpenStore, alice: User, bob: User) -> None:
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
