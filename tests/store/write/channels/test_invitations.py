"""Invitations to channels, and what outsiders can tell about a private channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.values import Limits
from chat.store.accounts import CreateInvitation, SignIn
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeclineInvitation,
    DeleteChannel,
    FollowThread,
    IgnoreUser,
    Invited,
    InviteToChannel,
    Kick,
    LiftChannelBan,
    MarkThread,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
    WithdrawInvitation,
)
from chat.store.operations import (
    ChannelPolicy,
    ChannelState,
    JoinChannel,
    LeaveChannel,
    MarkRead,
    OpenInvitation,
    Operation,
    Prefer,
    User,
)
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic
from tests.store.write.channels.conftest import Room


def invitations(store: OpenStore, user: User) -> tuple[OpenInvitation, ...]:
    """Return the open invitations of a user."""
    return store.read(lambda reader: reader.channel_invitations(user))


def uninvited(store: OpenStore) -> list[tuple[str, str]]:
    """Return the users and channels of all invitations that ended."""
    ended = [each for commit in store.commits for each in commit.uninvited]
    return [(user.name, invitation.channel) for user, invitation in ended]


def invite(room: Room, user: User, name: str = "outsider") -> Invited:
    return room.store.do(InviteToChannel(user, room.name, name))


class TestInvitations:
    def test_invited_user_enters_and_reads_the_whole_log(self, private: Room) -> None:
        private.store.send(private.owner, "before", private.name)
        invited = invite(private, private.member)
        assert invited.user == private.outsider
        assert invited.invitation is not None
        assert (invited.invitation.channel, invited.invitation.by) == ("#private", "member")
        assert invited.invitation.private
        assert invitations(private.store, private.outsider) == (invited.invitation,)
        private.store.do(JoinChannel(private.outsider, "#PRIVATE"))
        items = private.store.log(private.outsider, private.name)
        assert "before" in [item.text for item in items]
        assert invitations(private.store, private.outsider) == ()
        assert uninvited(private.store)[-1] == ("outsider", "#private")

    def test_second_invitation_changes_nothing(self, room: Room) -> None:
        assert invite(room, room.member).invitation is not None
        assert invite(room, room.owner).invitation is None
        (kept,) = invitations(room.store, room.outsider)
        assert kept.by == "member"

    def test_members_are_not_invited(self, room: Room) -> None:
        assert invite(room, room.owner, "member").invitation is None
        assert invitations(room.store, room.member) == ()

    def test_setting_reserves_invitations_for_moderators(self, room: Room) -> None:
        room.store.do(ChangeSettings(room.owner, room.name, invites="moderators"))
        refused = room.refusal(InviteToChannel(room.member, room.name, "outsider"))
        assert refused.message == "only moderators of #room may invite others"
        assert invite(room, room.moderator).invitation is not None

    def test_muted_members_invite_nobody(self, room: Room) -> None:
        room.store.do(MuteMember(room.moderator, room.name, "member"))
        refused = room.refusal(InviteToChannel(room.member, room.name, "outsider"))
        assert refused.code is ErrorCode.MUTED

    def test_nobody_is_invited_to_a_direct_channel(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.sign_in("carol")
        store.send(alice, "hi", "@alice,bob")
        for operation in (InviteToChannel, WithdrawInvitation):
            assert store.refused(operation(alice, "@alice,bob", "carol")) is ErrorCode.FORBIDDEN

    def test_declined_invitation_ends_and_may_be_repeated(self, private: Room) -> None:
        invite(private, private.member)
        for _ in range(2):
            private.store.do(DeclineInvitation(private.outsider, private.name))
        assert uninvited(private.store)[-1:] == [("outsider", "#private")]
        refused = private.refusal(JoinChannel(private.outsider, private.name))
        assert refused.code is ErrorCode.NAME_UNAVAILABLE
        assert invite(private, private.member).invitation is not None

    @pytest.mark.parametrize("is_accepted_first", [False, True])
    def test_invitation_withdrawn_while_it_is_accepted(
        self, private: Room, is_accepted_first: bool
    ) -> None:
        invite(private, private.member)
        acts: list[Operation[Any]] = [
            WithdrawInvitation(private.member, private.name, "outsider"),
            JoinChannel(private.outsider, private.name),
        ]
        outcomes = private.store.together(acts[::-1] if is_accepted_first else acts)
        joined = outcomes[0 if is_accepted_first else 1]
        if is_accepted_first:
            assert isinstance(joined, ChannelState)
            assert "outsider" in private.roles()
        else:
            assert isinstance(joined, CommandError)
            assert joined.code is ErrorCode.NAME_UNAVAILABLE
        assert uninvited(private.store)[-1:] == [("outsider", "#private")]
        assert len(uninvited(private.store)) == 4  # the other members' and this one

    def test_members_withdraw_their_own_invitations_and_moderators_any(self, private: Room) -> None:
        invite(private, private.owner)
        private.store.do(WithdrawInvitation(private.member, private.name, "outsider"))
        assert invitations(private.store, private.outsider)
        private.store.do(WithdrawInvitation(private.moderator, private.name, "outsider"))
        assert not invitations(private.store, private.outsider)

    def test_invitations_end_with_the_channel(self, private: Room) -> None:
        invite(private, private.member)
        private.store.do(DeleteChannel(private.owner, private.name))
        assert invitations(private.store, private.outsider) == ()
        assert uninvited(private.store)[-1] == ("outsider", "#private")

    def test_ban_ends_the_invitation(self, private: Room) -> None:
        invite(private, private.member)
        private.store.do(BanFromChannel(private.moderator, private.name, "outsider"))
        assert uninvited(private.store)[-1] == ("outsider", "#private")
        refused = private.refusal(JoinChannel(private.outsider, private.name))
        assert refused.code is ErrorCode.NAME_UNAVAILABLE

    def test_joining_a_public_channel_ends_the_invitation(self, room: Room) -> None:
        invite(room, room.member)
        room.store.do(JoinChannel(room.outsider, room.name))
        assert uninvited(room.store)[-1] == ("outsider", "#room")

    def test_hourly_limit_counts_repeated_and_silent_invitations(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        now = 0.0
        store = open_store(Limits(invitations=2), monotonic=lambda: now)
        alice, bob, carol = map(store.sign_in, ("alice", "bob", "carol"))
        store.do(CreateChannel(alice, "#den", private=True))
        store.do(IgnoreUser(carol, "alice"))
        for invited in (bob, carol):
            for _ in range(2):
                store.do(InviteToChannel(alice, "#den", invited.name))
            refused = store.outcome(InviteToChannel(alice, "#den", invited.name))
            assert isinstance(refused, CommandError)
            assert refused.code is ErrorCode.RATE_LIMITED
            assert refused.retry_after == pytest.approx(1_800)
            now += 3_600
        store.do(InviteToChannel(alice, "#den", "alice"))  # a member, so nothing happens
        store.do(JoinChannel(bob, "#den"))
        store.do(InviteToChannel(bob, "#den", "carol"))  # another user has a limit of their own


class TestSilentInvitations:
    def test_ignored_inviters_do_not_reach_the_user_and_cannot_tell(self, private: Room) -> None:
        store = private.store
        store.do(IgnoreUser(private.outsider, "member"))
        before = len(uninvited(store))
        assert invite(private, private.member).invitation is None
        assert invitations(store, private.outsider) == ()
        refused = private.refusal(JoinChannel(private.outsider, private.name))
        assert refused.code is ErrorCode.NAME_UNAVAILABLE
        store.do(DeclineInvitation(private.outsider, private.name))
        store.do(WithdrawInvitation(private.member, private.name, "outsider"))
        assert len(uninvited(store)) == before

    def test_banned_users_are_not_reached(self, private: Room) -> None:
        private.store.do(BanFromChannel(private.moderator, private.name, "outsider"))
        assert invite(private, private.owner).invitation is None
        refused = private.refusal(JoinChannel(private.outsider, private.name))
        assert refused.code is ErrorCode.NAME_UNAVAILABLE
        private.store.do(LiftChannelBan(private.moderator, private.name, "outsider"))
        assert invitations(private.store, private.outsider) == ()
        assert invite(private, private.owner).invitation is not None

    def test_invitation_of_somebody_else_replaces_a_silent_one(self, private: Room) -> None:
        store = private.store
        store.do(IgnoreUser(private.outsider, "member"))
        invite(private, private.member)
        assert invite(private, private.owner).invitation is not None
        store.do(WithdrawInvitation(private.member, private.name, "outsider"))  # as before: ok
        (kept,) = invitations(store, private.outsider)
        assert kept.by == "owner"


OUTSIDE: dict[str, Callable[[User, str], Operation[Any]]] = {
    "send": lambda user, name: message(user, "hi", name),
    "reply": lambda user, name: message(user, "hi", name, reply_to=1),
    "edit": lambda user, name: edit(user, 1, "hi", name),
    "delete": lambda user, name: delete(user, 1, name),
    "react": lambda user, name: react(user, 1, "+1", name),
    "pin": lambda user, name: pin(user, 1, name),
    "topic": lambda user, name: topic(user, "hi", name),
    "mark": lambda user, name: MarkRead(user, name, 1),
    "mark thread": lambda user, name: MarkThread(user, name, 1, 1),
    "follow": lambda user, name: FollowThread(user, name, 1),
    "prefer": lambda user, name: Prefer(user, name, muted=True),
    "leave": LeaveChannel,
    "kick": lambda user, name: Kick(user, name, "member"),
    "ban": lambda user, name: BanFromChannel(user, name, "member"),
    "unban": lambda user, name: LiftChannelBan(user, name, "member"),
    "mute": lambda user, name: MuteMember(user, name, "member"),
    "unmute": lambda user, name: UnmuteMember(user, name, "member"),
    "role": lambda user, name: SetChannelRole(user, name, "member", "owner"),
    "settings": lambda user, name: ChangeSettings(user, name, archived=True),
    "delete channel": DeleteChannel,
    "invite": lambda user, name: InviteToChannel(user, name, "member"),
    "uninvite": lambda user, name: WithdrawInvitation(user, name, "member"),
    "decline": DeclineInvitation,
}
"""All operations that name a channel, except `join` and `create`."""


@pytest.fixture(params=["outsider", "former", "banned", "banned outsider"])
def stranger(request: pytest.FixtureRequest, private: Room) -> User:
    """Somebody from whom a private channel is hidden."""
    if request.param == "former":
        private.store.leave(private.member, private.name)
        return private.member
    if request.param == "banned":
        private.store.do(BanFromChannel(private.moderator, private.name, "member"))
        return private.member
    if request.param == "banned outsider":
        private.store.do(BanFromChannel(private.moderator, private.name, "outsider"))
    return private.outsider


class TestOutsiders:
    def test_private_channel_answers_like_a_missing_one(
        self, private: Room, stranger: User
    ) -> None:
        for act, build in OUTSIDE.items():
            answers = []
            for name in (private.name, "#missing"):
                outcome = private.store.outcome(build(stranger, name))
                answers.append(
                    (outcome.code, outcome.message.replace(name, "#"), outcome.field)
                    if isinstance(outcome, CommandError)
                    else outcome
                )
            assert answers[0] == answers[1], act

    def test_taken_name_and_reserved_name_are_refused_alike(
        self, private: Room, stranger: User
    ) -> None:
        policy = ChannelPolicy(reserved=frozenset({"#reserved"}))
        errors = set()
        for name in (private.name, private.name.upper(), "#reserved", "#Reserved"):
            for operation in (
                JoinChannel(stranger, name, policy),
                CreateChannel(stranger, name, policy=policy),
                CreateChannel(stranger, name, private=True, policy=policy),
            ):
                refused = private.refusal(operation)
                errors.add((refused.code, refused.message.replace(name, "#"), refused.field))
        assert errors == {
            (
                ErrorCode.NAME_UNAVAILABLE,
                "the name # cannot be used: choose another",
                "channel",
            )
        }

    def test_admins_only_policy_does_not_reveal_a_private_channel(
        self, private: Room, stranger: User
    ) -> None:
        policy = ChannelPolicy(is_open=False)
        for name in (private.name, "#missing"):
            for operation in (
                JoinChannel(stranger, name, policy),
                CreateChannel(stranger, name, policy=policy),
            ):
                refused = private.refusal(operation)
                assert refused.code is ErrorCode.FORBIDDEN
                assert name not in refused.message

    def test_stored_message_is_not_confirmed_to_a_former_member(self, private: Room) -> None:
        private.store.append(message(private.member, "hi", private.name, cid="mine"))
        private.store.append(message(private.member, "hi", "#general", cid="other"))
        private.store.leave(private.member, private.name)
        for name in (private.name, "#missing"):
            for cid in ("mine", "other"):
                refused = private.refusal(message(private.member, "hi", name, cid=cid))
                assert refused.code is ErrorCode.CID_REUSED

    def test_guessing_names_in_a_loop_is_rate_limited(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        store = open_store(Limits(channels=5))
        owner, eve = store.sign_in("owner"), store.sign_in("eve")
        store.do(CreateChannel(owner, "#secret", True))
        codes = [store.refused(JoinChannel(eve, "#secret")) for _ in range(10)]
        assert codes == [ErrorCode.NAME_UNAVAILABLE] * 5 + [ErrorCode.RATE_LIMITED] * 5
        assert store.refused(JoinChannel(eve, "#missing")) is ErrorCode.RATE_LIMITED

    def test_invitation_to_the_server_does_not_reveal_a_private_channel(
        self, private: Room
    ) -> None:
        admin = private.store.admin("boss")
        operation = CreateInvitation(admin, 1, channels=("#new", private.name))
        assert private.store.refused(operation) is ErrorCode.NAME_UNAVAILABLE

    def test_new_users_do_not_arrive_in_a_channel_that_became_private(self, room: Room) -> None:
        created = room.store.do(CreateInvitation(None, 1, channels=(room.name,)))
        room.store.do(ChangeSettings(room.owner, room.name, private=True))
        signed_in = room.store.do(SignIn("newcomer", None, b"n", invitation=created.code))
        assert [each.channel.name for each in signed_in.memberships or ()] == ["#general"]
