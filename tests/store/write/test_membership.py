"""Signing in, joining, leaving, direct channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.values import Limits
from chat.store.accounts import SignedIn, SignIn
from chat.store.operations import (
    ChannelState,
    JoinChannel,
    LeaveChannel,
    Marked,
    MarkRead,
    Prefer,
    Preferred,
    User,
)
from tests.store.opened import OpenStore


class TestSigningIn:
    def test_new_user_claims_a_name_and_joins_general(self, store: OpenStore) -> None:
        outcome = store.outcome(SignIn("Alice", None, b"secret"))
        assert isinstance(outcome, SignedIn)
        assert outcome.claimed
        assert outcome.user.name == "Alice"
        event = store.last_event
        assert event
        assert (event.channel, event.kind, event.author) == ("#general", "join", "Alice")
        (membership,) = store.read(lambda reader: reader.memberships(outcome.user))
        assert membership.channel.name == "#general"
        assert (membership.role, membership.unread) == ("member", 0)
        assert outcome.memberships == (membership,)

    def test_first_of_several_claims_in_one_commit_gets_the_name(self, store: OpenStore) -> None:
        first, device, other = store.together(
            [
                SignIn("Alice", b"secret", b"secret"),
                SignIn("alice", b"secret", b"secret"),
                SignIn("ALICE", b"another", b"another"),
            ]
        )
        assert isinstance(first, SignedIn)
        assert first.claimed
        assert device == SignedIn(first.user, claimed=False)
        assert isinstance(other, CommandError)
        assert other.code is ErrorCode.BAD_TOKEN

    def test_only_a_new_name_counts_against_the_quota(self, store: OpenStore) -> None:
        left = [0.0, 7.5]
        taken: list[float] = []

        def quota() -> float:
            taken.append(left[len(taken)])
            return taken[-1]

        claimed = store.outcome(SignIn("alice", b"secret", b"secret", quota))
        assert isinstance(claimed, SignedIn)
        again = store.outcome(SignIn("alice", b"secret", b"secret", quota))
        assert again == SignedIn(claimed.user, claimed=False)
        refused = store.outcome(SignIn("bob", b"another", b"another", quota))
        assert isinstance(refused, CommandError)
        assert (refused.code, refused.retry_after) == (ErrorCode.RATE_LIMITED, 7.5)
        assert taken == left
        assert store.read(lambda reader: reader.user("bob")) is None

    def test_user_signs_in_with_their_token(self, store: OpenStore) -> None:
        claimed = store.outcome(SignIn("Alice", None, b"secret"))
        again = store.outcome(SignIn("aLICE", b"secret", b"other"))
        assert isinstance(claimed, SignedIn)
        assert again == SignedIn(claimed.user, claimed=False)

    @pytest.mark.parametrize(
        ("token_hash", "code"), [(None, ErrorCode.NAME_TAKEN), (b"wrong", ErrorCode.BAD_TOKEN)]
    )
    def test_sign_in_without_the_token_is_refused(
        self, store: OpenStore, token_hash: bytes | None, code: ErrorCode
    ) -> None:
        store.outcome(SignIn("Alice", None, b"secret"))
        outcome = store.outcome(SignIn("alice", token_hash, b"wrong"))
        assert isinstance(outcome, CommandError)
        assert outcome.code is code
        assert "chat-server token Alice" in outcome.message
        assert "choose another" in outcome.message

    def test_first_claim_in_a_commit_sets_the_token(self, store: OpenStore) -> None:
        first, second, third = store.together(
            [SignIn("a", None, b"1"), SignIn("A", b"2", b"2"), SignIn("a", b"1", b"1")]
        )
        assert isinstance(first, SignedIn)
        assert isinstance(second, CommandError)
        assert third == SignedIn(first.user, claimed=False)


class TestJoining:
    def test_creator_owns_the_channel(self, store: OpenStore, alice: User, bob: User) -> None:
        created = store.join(alice, "#Dev")
        assert (created.channel.name, created.role, created.channel.head) == ("#Dev", "owner", 1)
        assert store.last_event
        assert (store.last_event.kind, store.last_event.seq) == ("join", 1)
        joined = store.join(bob, "#dev")
        assert (joined.channel.name, joined.role, joined.channel.head) == ("#Dev", "member", 2)
        assert joined.channel.epoch == created.channel.epoch

    def test_joining_again_changes_nothing(self, store: OpenStore, alice: User) -> None:
        first = store.join(alice, "#dev")
        again = store.join(alice, "#dev")
        assert again == first
        assert store.last_event is None

    def test_joining_grants_the_whole_log_without_unread_messages(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        store.send(alice, channel="#dev")
        store.join(bob, "#dev")
        assert len(store.log(bob, "#dev")) == 3
        membership = store.membership(bob, "#dev")
        assert (membership.read, membership.unread) == (3, 0)

    def test_number_of_memberships_is_limited(self, open_store: Callable[..., OpenStore]) -> None:
        store = open_store(Limits(channels=2))
        alice = store.sign_in("alice")
        store.sign_in("bob")
        store.join(alice, "#one")
        for channel in ("#two", "@alice,bob"):
            assert store.refused(JoinChannel(alice, channel)) is ErrorCode.LIMIT_REACHED
        assert store.join(alice, "#one").role == "owner"
        store.leave(alice, "#one")
        assert store.join(alice, "@alice,bob").role == "member"

    def test_direct_channels_count_only_for_the_user_who_opened_them(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        store = open_store(Limits(channels=3))
        alice, bob, carol = (store.sign_in(name) for name in ("alice", "bob", "carol"))
        for channel in ("@alice,bob", "@alice,carol"):
            store.join(alice, channel)
            store.send(alice, channel=channel)
        assert store.refused(JoinChannel(alice, "#one")) is ErrorCode.LIMIT_REACHED
        for channel in ("#one", "@bob,carol"):
            store.join(bob, channel)
        assert store.refused(JoinChannel(bob, "#two")) is ErrorCode.LIMIT_REACHED
        assert store.join(carol, "#two").role == "owner"
        store.outcome(Prefer(alice, "@alice,bob", hidden=True))
        assert store.join(alice, "#one").role == "member"
        store.send(bob, channel="@alice,bob")
        assert store.refused(JoinChannel(alice, "#two")) is ErrorCode.LIMIT_REACHED

    def test_channels_have_different_epochs(self, store: OpenStore, alice: User) -> None:
        assert store.join(alice, "#a").channel.epoch != store.join(alice, "#b").channel.epoch

    def test_built_in_channels_cannot_be_joined_in_the_store(
        self, store: OpenStore, alice: User
    ) -> None:
        assert store.refused(JoinChannel(alice, "#echo")) is ErrorCode.FORBIDDEN


class TestLeaving:
    def test_leaving_ends_the_membership(self, store: OpenStore, alice: User, bob: User) -> None:
        store.leave(alice, "#general")
        event = store.last_event
        assert event
        assert (event.kind, event.author, event.seq) == ("leave", "alice", 3)
        assert store.refused(LeaveChannel(alice, "#general")) is ErrorCode.NOT_A_MEMBER
        assert store.read(lambda reader: reader.memberships(alice)) == ()
        _channel, rows, _, total = store.read(
            lambda reader: reader.members(bob, "#general", cursor=None, limit=9)
        )
        assert ([row.name for row in rows], total) == ([bob.name], 1)

    def test_rejoining_leaves_nothing_unread(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.leave(alice, "#general")
        store.send(bob)
        joined = store.join(alice, "#general")
        membership = store.membership(alice)
        assert (membership.read, membership.unread) == (joined.channel.head, 0)

    def test_channel_that_everybody_has_left_gets_an_owner_again(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        store.leave(alice, "#dev")
        assert store.join(bob, "#dev").role == "owner"
        assert store.join(alice, "#dev").role == "member"
        for user in (alice, bob):
            store.leave(user, "#general")
        assert store.join(bob, "#general").role == "member"

    def test_leaving_without_a_membership_is_refused(self, store: OpenStore, alice: User) -> None:
        assert store.refused(LeaveChannel(alice, "#dev")) is ErrorCode.NO_SUCH_CHANNEL


class TestDirectChannels:
    def test_all_participants_become_members_at_once(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        opened = store.join(alice, "@BOB,ALICE")
        assert (opened.channel.name, opened.channel.head) == ("@alice,Bob", 0)
        assert (opened.role, store.last_event) == ("member", None)
        again = store.join(bob, "@alice,bob")
        assert (again.channel, again.role) == (opened.channel, "member")
        channel, rows, _cursor, total = store.read(
            lambda reader: reader.members(bob, "@bob,alice", cursor=None, limit=10)
        )
        assert ([row.name for row in rows], total) == (["alice", "Bob"], 2)
        assert channel == "@alice,Bob"

    def test_outsiders_cannot_tell_whether_a_direct_channel_exists(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        carol = store.sign_in("carol")
        operations = (JoinChannel(carol, "@alice,bob"), LeaveChannel(carol, "@alice,bob"))
        before = [store.refused(operation) for operation in operations]
        store.join(alice, "@alice,bob")
        after = [store.refused(operation) for operation in operations]
        assert {*before, *after} == {ErrorCode.NO_SUCH_CHANNEL}

    def test_direct_channel_with_an_unknown_user_is_refused(
        self, store: OpenStore, alice: User
    ) -> None:
        assert store.refused(JoinChannel(alice, "@alice,ghost")) is ErrorCode.NO_SUCH_USER
        assert store.read(lambda reader: reader.user("ghost")) is None

    def test_direct_channel_cannot_be_left(self, store: OpenStore, alice: User, bob: User) -> None:
        store.join(alice, "@alice,bob")
        assert store.refused(LeaveChannel(alice, "@alice,bob")) is ErrorCode.FORBIDDEN


def test_membership_can_be_created_used_and_ended_in_one_commit(
    store: OpenStore, alice: User
) -> None:
    joined, marked, preferred, left, again = store.together(
        [
            JoinChannel(alice, "#new"),
            MarkRead(alice, "#new", 1),
            Prefer(alice, "#new", pinned=2),
            LeaveChannel(alice, "#new"),
            JoinChannel(alice, "#new"),
        ]
    )
    assert isinstance(joined, ChannelState)
    assert isinstance(marked, Marked)
    assert isinstance(preferred, Preferred)
    assert left is None
    assert isinstance(again, ChannelState)
    membership = store.read(lambda reader: reader.membership(alice, "#new"))
    assert (membership.channel.head, membership.read, membership.preference.pinned) == (3, 3, 0)
