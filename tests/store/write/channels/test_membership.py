"""Signing in, joining, leaving, direct channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.values import Limits
from chat.rights import DEFAULT
from chat.store.accounts import ADMIN, ChangeAccount, SignedIn, SignIn
from chat.store.channels import CreateChannel, DeleteChannel, IgnoreUser
from chat.store.operations import (
    ChannelPolicy,
    ChannelState,
    JoinChannel,
    LeaveChannel,
    Marked,
    MarkRead,
    Prefer,
    Preferred,
    RunNextJob,
    User,
)
from tests.store.opened import OpenStore, message


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
        assert "chat-server link Alice" in outcome.message
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


class TestCreating:
    def test_creator_owns_the_channel_and_sets_its_topic(
        self, store: OpenStore, alice: User
    ) -> None:
        state = store.do(CreateChannel(alice, "#Dev", topic="tea"))
        assert (state.name, state.topic, state.settings) == ("#Dev", "tea", DEFAULT)
        assert [item.kind for item in store.log(alice, "#dev")] == ["join", "topic"]
        assert store.membership(alice, "#dev").role == "owner"

    def test_private_channel_is_private_from_its_first_event(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        state = store.do(CreateChannel(alice, "#dev", True))
        assert state.settings.private
        assert store.refused(JoinChannel(bob, "#dev")) is ErrorCode.NAME_UNAVAILABLE

    def test_taken_names_are_refused_in_any_spelling(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        for user in (alice, bob):
            assert store.refused(CreateChannel(user, "#DEV")) is ErrorCode.NAME_UNAVAILABLE
        refused = store.outcome(CreateChannel(bob, "#GENERAL"))
        assert isinstance(refused, CommandError)
        assert refused.code is ErrorCode.NAME_UNAVAILABLE
        assert refused.message == "#general already exists: join it, or choose another name"

    @pytest.mark.parametrize(
        ("name", "code"), [("@alice,bob", ErrorCode.INVALID), ("#echo", ErrorCode.FORBIDDEN)]
    )
    def test_direct_and_built_in_channels_are_not_created(
        self, store: OpenStore, alice: User, bob: User, name: str, code: ErrorCode
    ) -> None:
        assert store.refused(CreateChannel(alice, name)) is code

    def test_policy_leaves_creation_to_admins(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        policy = ChannelPolicy(is_open=False)
        store.do(ChangeAccount(None, "alice", role=ADMIN))
        assert store.refused(JoinChannel(bob, "#dev", policy)) is ErrorCode.FORBIDDEN
        assert store.refused(CreateChannel(bob, "#dev", policy=policy)) is ErrorCode.FORBIDDEN
        store.do(JoinChannel(alice, "#dev", policy))
        store.do(JoinChannel(bob, "#dev", policy))

    def test_reserved_names_cannot_be_created_but_existing_channels_stay(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#staff")
        policy = ChannelPolicy(reserved=frozenset({"#staff", "#ops"}))
        assert store.refused(JoinChannel(bob, "#OPS", policy)) is ErrorCode.NAME_UNAVAILABLE
        store.do(JoinChannel(bob, "#staff", policy))

    def test_refused_names_count_against_the_hourly_limit(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        store = open_store(Limits(channels=3))
        alice = store.sign_in("alice")
        codes = [store.refused(CreateChannel(alice, "#general")) for _ in range(4)]
        assert codes == [ErrorCode.NAME_UNAVAILABLE] * 3 + [ErrorCode.RATE_LIMITED]


class TestDeleting:
    def test_owner_deletes_the_channel_with_a_last_event(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for user in (alice, bob):
            store.join(user, "#dev")
        store.do(DeleteChannel(alice, "#dev"))
        (event,) = store.commits[-1].events
        assert (event["channel"], event["kind"], event["author"]) == ("#dev", "deleted", "alice")
        assert store.refused(message(alice, "hi", "#dev")) is ErrorCode.NO_SUCH_CHANNEL
        assert [each.channel.name for each in store.read(lambda r: r.memberships(bob))] == [
            "#general"
        ]

    def test_name_is_free_at_once(self, store: OpenStore, alice: User, bob: User) -> None:
        before = store.join(alice, "#dev").channel
        store.send(alice, "old", "#dev")
        store.together(
            [
                message(alice, "last", "#dev"),
                DeleteChannel(alice, "#dev"),
                message(alice, "late", "#dev"),
                JoinChannel(bob, "#dev"),
                message(bob, "first", "#dev"),
            ]
        )
        after = store.membership(bob, "#dev").channel
        assert after.epoch != before.epoch
        assert [item.text for item in store.log(bob, "#dev")] == [None, "first"]
        while not store.do(RunNextJob()).is_last:
            pass
        assert [item.text for item in store.log(bob, "#dev")] == [None, "first"]
        store.wait_until_indexed()
        assert not store.problems()

    def test_deleted_channel_no_longer_counts_against_the_limit(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        store = open_store(Limits(channels=2))
        alice, bob = store.sign_in("alice"), store.sign_in("bob")
        store.join(alice, "#dev")
        store.join(bob, "#dev")
        assert store.refused(JoinChannel(bob, "#other")) is ErrorCode.LIMIT_REACHED
        store.do(DeleteChannel(alice, "#dev"))
        store.join(bob, "#other")

    def test_deleted_channel_cannot_be_named(self, store: OpenStore, alice: User) -> None:
        store.join(alice, "#dev")
        store.do(DeleteChannel(alice, "#dev"))
        for name in ("deleted-2", "#deleted-2"):
            outcome = store.outcome(message(alice, "hi", name))
            assert isinstance(outcome, CommandError)


class TestIgnoring:
    def test_first_message_of_an_ignored_user_opens_nothing(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        names = store.do(IgnoreUser(bob, "ALICE"))
        assert (names.names, names.changed) == (("alice",), True)
        done = store.append(message(alice, "hi", "@alice,bob"))
        assert done.seq == 1
        assert store.commits[-1].kept_hidden == {"@alice,Bob": {"Bob"}}
        assert listed(store, bob) == ["#general"]
        assert listed(store, alice) == ["#general", "@alice,Bob"]
        store.send(bob, "hello", "@alice,bob")
        assert listed(store, bob) == ["#general", "@alice,Bob"]

    def test_messages_in_a_hidden_channel_stay_hidden_from_those_who_ignore(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        carol = store.sign_in("carol")
        store.send(alice, "hi", "@alice,bob,carol")
        for user in (bob, carol):
            store.do(Prefer(user, "@alice,bob,carol", hidden=True))
        store.do(IgnoreUser(bob, "alice"))
        store.send(alice, "again", "@alice,bob,carol")
        assert "@alice,Bob,carol" not in listed(store, bob)
        assert "@alice,Bob,carol" in listed(store, carol)
        store.send(carol, "from me", "@alice,bob,carol")
        assert "@alice,Bob,carol" in listed(store, bob)
        assert store.commits[-1].kept_hidden == {}

    def test_messages_are_delivered_again_when_ignoring_ends(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.do(IgnoreUser(bob, "alice"))
        store.send(alice, "hi", "@alice,bob")
        ended = store.do(IgnoreUser(bob, "alice", remove=True))
        assert (ended.names, ended.changed) == ((), True)
        assert listed(store, bob) == ["#general"]
        store.send(alice, "again", "@alice,bob")
        assert listed(store, bob) == ["#general", "@alice,Bob"]

    def test_sender_gets_the_same_answers(self, store: OpenStore, alice: User, bob: User) -> None:
        store.sign_in("carol")
        store.do(IgnoreUser(bob, "alice"))
        answers = []
        for name in ("bob", "carol"):
            channel = f"@alice,{name}"
            joined = store.do(JoinChannel(alice, channel))
            sent = store.append(message(alice, f"@{name} hi", channel))
            item = store.item(alice, 1, channel)
            answers.append((joined.head, sent.seq, sent.duplicate, len(item.mentions)))
        assert answers[0] == answers[1]

    def test_repeating_it_changes_nothing(self, store: OpenStore, alice: User, bob: User) -> None:
        assert store.do(IgnoreUser(alice, "bob")).changed
        assert not store.do(IgnoreUser(alice, "bob")).changed
        assert store.do(IgnoreUser(alice, "bob", remove=True)).changed
        assert not store.do(IgnoreUser(alice, "bob", remove=True)).changed

    def test_nobody_ignores_themselves_or_strangers(self, store: OpenStore, alice: User) -> None:
        assert store.refused(IgnoreUser(alice, "alice")) is ErrorCode.FORBIDDEN
        assert store.refused(IgnoreUser(alice, "nobody")) is ErrorCode.NO_SUCH_USER

    def test_stopped_accounts_ignore_nobody(self, store: OpenStore, alice: User, bob: User) -> None:
        store.do(ChangeAccount(None, "alice", disabled=True))
        assert store.refused(IgnoreUser(alice, "bob")) is ErrorCode.DISABLED


def listed(store: OpenStore, user: User) -> list[str]:
    """Return the channels in the list of a user."""
    return sorted(each.channel.name for each in store.read(lambda r: r.memberships(user)))
