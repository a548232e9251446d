"""How a member wants a channel: kept with their membership; theirs alone."""

from __future__ import annotations

from chat.errors import ErrorCode
from chat.store.operations import Prefer, Preference, Preferred, User
from tests.store.opened import OpenStore

USUAL = Preference(0, False, "mentions")


def prefer(store: OpenStore, operation: Prefer) -> Preferred:
    outcome = store.outcome(operation)
    assert isinstance(outcome, Preferred), outcome
    return outcome


def test_what_is_left_out_stays_as_it_is(store: OpenStore, alice: User, bob: User) -> None:
    assert store.membership(alice).preference == USUAL
    assert prefer(store, Prefer(alice, "#general", pinned=2)).changed
    assert prefer(store, Prefer(alice, "#GENERAL", muted=True)).changed
    done = prefer(store, Prefer(alice, "#general", level="all"))
    assert done.preference == store.membership(alice).preference == Preference(2, True, "all")
    assert not prefer(store, Prefer(alice, "#general", pinned=2, level="all")).changed
    assert prefer(store, Prefer(alice, "#general", 0, False, "mentions")).preference == USUAL
    assert store.membership(bob).preference == USUAL


def test_they_are_listed_and_end_with_the_membership(
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


def test_only_members_prefer(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    assert store.refused(Prefer(bob, "#dev", 1)) is ErrorCode.NOT_A_MEMBER
    assert store.refused(Prefer(bob, "#none", 1)) is ErrorCode.NO_SUCH_CHANNEL
    assert store.refused(Prefer(bob, "@alice,carol", 1)) is ErrorCode.NO_SUCH_CHANNEL
