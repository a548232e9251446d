"""Kicks, bans, mutes, roles and settings of a channel."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.rights import DEFAULT, RETENTION_MIN
from chat.store.accounts import ADMIN, BOT, AddBan, ChangeAccount
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    DeleteChannel,
    Kick,
    LiftChannelBan,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
)
from chat.store.operations import (
    Appended,
    JoinChannel,
    LeaveChannel,
    Operation,
    SendMessage,
    User,
)
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic
from tests.store.write.channels.conftest import Room

Act = Callable[[User, str, str], Operation[Any]]
ACTS: dict[str, Act] = {
    "kick": Kick,
    "ban": BanFromChannel,
    "mute": MuteMember,
    "unmute": UnmuteMember,
    "unban": LiftChannelBan,
}


class TestRanks:
    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    @pytest.mark.parametrize(
        ("actor", "target"),
        [
            ("moderator", "second moderator"),
            ("moderator", "owner"),
            ("moderator", "moderator"),
            ("owner", "owner"),
            ("member", "member"),
            ("member", "outsider"),
        ],
    )
    def test_nobody_acts_on_an_equal_or_higher_role_or_on_themselves(
        self, room: Room, act: Act, actor: str, target: str
    ) -> None:
        before = room.last()
        operation = act(room.people[actor], room.name, room.people[target].name)
        assert room.refusal(operation).code is ErrorCode.FORBIDDEN
        assert room.last() == before

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_owner_acts_on_moderators(self, room: Room, act: Act) -> None:
        room.store.do(act(room.owner, room.name, room.moderator.name))

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_outsiders_must_join_first(self, room: Room, act: Act) -> None:
        refused = room.refusal(act(room.outsider, room.name, room.member.name))
        assert refused.code is ErrorCode.NOT_A_MEMBER

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_unknown_user_is_refused(self, room: Room, act: Act) -> None:
        refused = room.refusal(act(room.moderator, room.name, "nobody"))
        assert (refused.code, refused.field) == (ErrorCode.NO_SUCH_USER, "name")

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_direct_channels_have_no_moderators(
        self, store: OpenStore, alice: User, bob: User, act: Act
    ) -> None:
        store.send(alice, "hi", "@alice,bob")
        assert store.refused(act(alice, "@alice,bob", "bob")) is ErrorCode.FORBIDDEN

    def test_moderators_demote_each_other_never(self, room: Room) -> None:
        for user, name in ((room.moderator, "second"), (room.second_moderator, "mod")):
            refused = room.refusal(SetChannelRole(user, room.name, name, "member"))
            assert refused.code is ErrorCode.FORBIDDEN

    def test_moderators_delete_only_messages_of_members(self, room: Room) -> None:
        people = (room.owner, room.second_moderator, room.member)
        sent = [room.store.send(each, "text", room.name) for each in people]
        codes = [room.store.outcome(delete(room.moderator, seq, room.name)) for seq in sent]
        assert [each.code if isinstance(each, CommandError) else None for each in codes] == [
            ErrorCode.FORBIDDEN,
            ErrorCode.FORBIDDEN,
            None,
        ]
        room.store.do(delete(room.owner, sent[1], room.name))
        assert room.refusal(delete(room.member, sent[0], room.name)).code is ErrorCode.FORBIDDEN

    def test_messages_of_former_owners_can_be_deleted(self, room: Room) -> None:
        seq = room.store.send(room.owner, "text", room.name)
        room.store.leave(room.owner, room.name)
        room.store.do(delete(room.second_moderator, seq, room.name))


class TestKick:
    def test_kick_is_a_leave_of_the_person_concerned(self, room: Room) -> None:
        done = room.store.append(Kick(room.moderator, room.name, "MEMBER", "be nice"))
        item = room.last()
        assert (item.seq, item.kind, item.author) == (done.seq, "leave", "member")
        assert (item.by, item.act, item.reason, item.until) == ("mod", "kick", "be nice", None)
        assert "member" not in room.roles()
        room.store.do(JoinChannel(room.member, room.name))
        assert room.roles()["member"] == "member"

    def test_repeated_kick_changes_nothing(self, room: Room) -> None:
        room.store.append(Kick(room.moderator, room.name, "member"))
        before = room.last()
        assert room.store.append(Kick(room.moderator, room.name, "member")) == Appended(
            None, None, None, duplicate=True
        )
        assert room.last() == before

    def test_pipelined_messages_after_a_kick_are_refused(self, room: Room) -> None:
        texts = [SendMessage(room.member, room.name, f"m{number}") for number in range(3)]
        first, kicked, *rest = room.store.together(
            [texts[0], Kick(room.moderator, room.name, "member"), *texts[1:]]
        )
        assert isinstance(first, Appended)
        assert isinstance(kicked, Appended)
        assert {each.code for each in rest if isinstance(each, CommandError)} == {
            ErrorCode.NOT_A_MEMBER
        }


class TestBan:
    def test_banned_member_leaves_and_cannot_join(self, room: Room) -> None:
        room.store.set_clock(1_000_000)
        until = 2_000_000_000
        room.store.do(BanFromChannel(room.moderator, room.name, "member", until, "spam"))
        item = room.last()
        assert (item.kind, item.author, item.by, item.act) == ("leave", "member", "mod", "ban")
        assert (item.until, item.reason) == (until, "spam")
        refused = room.refusal(JoinChannel(room.member, room.name))
        assert (refused.code, refused.field) == (ErrorCode.BANNED, "channel")
        assert refused.message == "mod has banned you from #room until 1970-01-24 03:33 UTC: spam"

    def test_ban_of_an_outsider_is_an_event(self, room: Room) -> None:
        room.store.do(BanFromChannel(room.moderator, room.name, "outsider", None, "spam"))
        item = room.last()
        assert (item.kind, item.author, item.user, item.reason) == (
            "ban",
            "mod",
            "outsider",
            "spam",
        )
        assert not item.remove
        assert room.refusal(JoinChannel(room.outsider, room.name)).code is ErrorCode.BANNED

    def test_lifted_ban_lets_the_user_join(self, room: Room) -> None:
        room.store.do(BanFromChannel(room.moderator, room.name, "member"))
        room.store.do(LiftChannelBan(room.second_moderator, room.name, "member"))
        item = room.last()
        assert (item.kind, item.author, item.user, item.remove) == ("ban", "second", "member", True)
        again = room.store.append(LiftChannelBan(room.second_moderator, room.name, "member"))
        assert again.duplicate
        room.store.do(JoinChannel(room.member, room.name))

    def test_another_ban_replaces_the_previous_one(self, room: Room) -> None:
        room.store.do(BanFromChannel(room.moderator, room.name, "outsider", None, "spam"))
        same = BanFromChannel(room.owner, room.name, "outsider", None, "spam")
        assert room.store.append(same).duplicate
        room.store.do(BanFromChannel(room.owner, room.name, "outsider", None, "threats"))
        refused = room.refusal(JoinChannel(room.outsider, room.name))
        assert refused.message == "owner has banned you from #room: threats"

    def test_ban_ends_by_the_clock(self, room: Room) -> None:
        room.store.set_clock(1_000_000)
        room.store.do(BanFromChannel(room.moderator, room.name, "member", 1_000_500_000))
        room.store.set_clock(1_000_499)
        assert room.refusal(JoinChannel(room.member, room.name)).code is ErrorCode.BANNED
        room.store.set_clock(1_000_500)
        room.store.do(JoinChannel(room.member, room.name))

    def test_end_in_the_past_is_refused(self, room: Room) -> None:
        room.store.set_clock(1_000_000)
        for operation in (
            BanFromChannel(room.moderator, room.name, "member", 1_000_000_000),
            MuteMember(room.moderator, room.name, "member", 1_000_000_000),
        ):
            refused = room.refusal(operation)
            assert (refused.code, refused.field) == (ErrorCode.INVALID, "until")
        assert room.roles()["member"] == "member"

    def test_ban_from_one_channel_does_not_affect_another(self, room: Room) -> None:
        room.store.do(BanFromChannel(room.moderator, room.name, "member"))
        room.store.join(room.member, "#other")


class TestMute:
    def test_muted_member_can_read_and_leave_but_not_write(self, room: Room) -> None:
        store, member = room.store, room.member
        own = store.send(member, "before", room.name)
        other = store.send(room.owner, "other", room.name)
        store.do(MuteMember(room.moderator, room.name, "member", None, "noise"))
        item = room.last()
        assert (item.kind, item.author, item.user, item.reason) == (
            "mute",
            "mod",
            "member",
            "noise",
        )
        for operation in (
            message(member, "text", room.name),
            message(member, "text", room.name, reply_to=other),
            edit(member, own, "text", room.name),
            react(member, other, "+1", room.name),
            pin(member, other, room.name),
            topic(member, "text", room.name),
        ):
            refused = room.refusal(operation)
            assert (refused.code, refused.field) == (ErrorCode.MUTED, "channel")
            assert refused.message == "mod has muted you in #room: noise"
        store.do(delete(member, own, room.name))
        store.mark(member, other, room.name)
        store.leave(member, room.name)

    def test_muted_moderator_has_no_moderators_rights(self, room: Room) -> None:
        room.store.do(MuteMember(room.owner, room.name, "mod"))
        refused = room.refusal(Kick(room.moderator, room.name, "member"))
        assert refused.code is ErrorCode.MUTED

    def test_mute_survives_leaving_and_joining(self, room: Room) -> None:
        room.store.do(MuteMember(room.moderator, room.name, "member"))
        room.store.leave(room.member, room.name)
        room.store.do(JoinChannel(room.member, room.name))
        assert room.refusal(message(room.member, "hi", room.name)).code is ErrorCode.MUTED
        room.store.leave(room.member, room.name)
        room.store.do(UnmuteMember(room.moderator, room.name, "member"))
        item = room.last()
        assert (item.kind, item.user, item.remove) == ("mute", "member", True)
        room.store.do(JoinChannel(room.member, room.name))
        room.store.send(room.member, "hi", room.name)

    def test_mute_survives_a_kick_and_a_ban(self, room: Room) -> None:
        room.store.do(MuteMember(room.moderator, room.name, "member"))
        room.store.do(BanFromChannel(room.moderator, room.name, "member"))
        room.store.do(LiftChannelBan(room.moderator, room.name, "member"))
        room.store.do(JoinChannel(room.member, room.name))
        assert room.refusal(message(room.member, "hi", room.name)).code is ErrorCode.MUTED

    def test_mute_ends_by_the_clock_also_after_it_was_set_back(self, room: Room) -> None:
        room.store.set_clock(1_000_000)
        room.store.do(MuteMember(room.moderator, room.name, "member", 1_000_500_000))
        room.store.set_clock(1_000_600)
        room.store.send(room.member, "over", room.name)
        room.store.set_clock(1_000_100)  # it counts again until its end
        assert room.refusal(message(room.member, "hi", room.name)).code is ErrorCode.MUTED
        room.store.set_clock(1_000_500)
        room.store.send(room.member, "over", room.name)
        assert room.store.append(UnmuteMember(room.moderator, room.name, "member")).duplicate

    def test_mute_is_in_force_after_a_restart(
        self, open_store: Callable[..., OpenStore], room: Room
    ) -> None:
        room.store.do(MuteMember(room.moderator, room.name, "member"))
        room.store.store.close()
        store = open_store()
        assert store.refused(message(room.member, "hi", room.name)) is ErrorCode.MUTED
        store.send(room.owner, "hi", room.name)

    def test_only_members_can_be_muted(self, room: Room) -> None:
        refused = room.refusal(MuteMember(room.moderator, room.name, "outsider"))
        assert refused.code is ErrorCode.NO_SUCH_USER
        assert refused.message == "outsider is not a member of #room"

    def test_repeated_mute_changes_nothing_and_another_replaces_it(self, room: Room) -> None:
        first = MuteMember(room.moderator, room.name, "member", None, "noise")
        assert not room.store.append(first).duplicate
        assert room.store.append(first).duplicate
        changed = MuteMember(room.second_moderator, room.name, "member", None, "louder")
        assert not room.store.append(changed).duplicate
        refused = room.refusal(message(room.member, "hi", room.name))
        assert refused.message == "second has muted you in #room: louder"

    def test_pipelined_message_after_an_unmute_is_stored(self, room: Room) -> None:
        room.store.do(MuteMember(room.moderator, room.name, "member"))
        send = SendMessage(room.member, room.name, "hi")
        outcomes = room.store.together(
            [send, UnmuteMember(room.moderator, room.name, "member"), send]
        )
        assert [isinstance(each, Appended) for each in outcomes] == [False, True, True]


class TestRoles:
    def test_owner_makes_and_removes_moderators(self, room: Room) -> None:
        room.store.do(SetChannelRole(room.owner, room.name, "member", "moderator"))
        item = room.last()
        assert (item.kind, item.author, item.user, item.role) == (
            *("role", "owner", "member", "moderator"),
        )
        room.store.do(Kick(room.member, room.name, "outsider"))
        room.store.do(SetChannelRole(room.owner, room.name, "member", "member"))
        assert room.roles()["member"] == "member"
        again = SetChannelRole(room.owner, room.name, "member", "member")
        assert room.store.append(again).duplicate

    def test_ownership_passes_on_and_the_former_owner_moderates(self, room: Room) -> None:
        room.store.do(SetChannelRole(room.owner, room.name, "member", "owner"))
        assert room.roles() == {
            "owner": "moderator",
            "mod": "moderator",
            "second": "moderator",
            "member": "owner",
        }

    def test_of_two_transfers_at_once_the_first_counts(self, room: Room) -> None:
        first, second = room.store.together(
            [
                SetChannelRole(room.owner, room.name, "mod", "owner"),
                SetChannelRole(room.owner, room.name, "member", "owner"),
            ]
        )
        assert isinstance(first, Appended)
        assert isinstance(second, CommandError)
        assert second.code is ErrorCode.FORBIDDEN
        assert [name for name, role in room.roles().items() if role == "owner"] == ["mod"]

    @pytest.mark.parametrize("is_leaving_first", [False, True])
    def test_owner_who_leaves_while_the_ownership_passes_on(
        self, room: Room, is_leaving_first: bool
    ) -> None:
        passing: list[Operation[Any]] = [
            SetChannelRole(room.owner, room.name, "member", "owner"),
            LeaveChannel(room.owner, room.name),
        ]
        room.store.together(passing[::-1] if is_leaving_first else passing)
        heir = "mod" if is_leaving_first else "member"
        assert [name for name, role in room.roles().items() if role == "owner"] == [heir]
        assert "owner" not in room.roles()

    @pytest.mark.parametrize("name", ["mod", "member"])
    def test_only_the_owner_changes_roles(self, room: Room, name: str) -> None:
        user = room.moderator if name == "mod" else room.member
        refused = room.refusal(SetChannelRole(user, room.name, "second", "member"))
        assert refused.code is ErrorCode.FORBIDDEN
        assert refused.message == "only the owner of #room may change roles"

    def test_owner_cannot_change_their_own_role(self, room: Room) -> None:
        refused = room.refusal(SetChannelRole(room.owner, room.name, "owner", "member"))
        assert refused.code is ErrorCode.FORBIDDEN

    @pytest.mark.parametrize(
        "stop",
        [
            ChangeAccount(None, "member", role=BOT),
            ChangeAccount(None, "member", disabled=True),
            AddBan(None, "member", None, None, ""),
        ],
    )
    def test_bots_and_stopped_users_cannot_own(self, room: Room, stop: Operation[Any]) -> None:
        room.store.do(stop)
        refused = room.refusal(SetChannelRole(room.owner, room.name, "member", "owner"))
        assert refused.message == "member is a bot, disabled or banned, and cannot own a channel"
        room.store.do(SetChannelRole(room.owner, room.name, "member", "moderator"))

    def test_muted_moderator_who_becomes_the_owner_is_not_muted(self, room: Room) -> None:
        room.store.do(MuteMember(room.owner, room.name, "mod"))
        room.store.do(SetChannelRole(room.owner, room.name, "mod", "owner"))
        room.store.send(room.moderator, "mine", room.name)

    def test_outsiders_have_no_role(self, room: Room) -> None:
        refused = room.refusal(SetChannelRole(room.owner, room.name, "outsider", "moderator"))
        assert refused.code is ErrorCode.NO_SUCH_USER


class TestGeneral:
    def test_admins_of_the_server_are_its_owners(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        carol = store.admin("carol")
        refused = store.outcome(Kick(alice, "#general", "bob"))
        assert isinstance(refused, CommandError)
        store.do(SetChannelRole(carol, "#general", "alice", "moderator"))
        store.do(MuteMember(alice, "#general", "bob"))
        assert store.refused(message(bob, "hi")) is ErrorCode.MUTED
        assert store.refused(Kick(alice, "#general", "carol")) is ErrorCode.FORBIDDEN

    def test_rights_end_with_the_role_of_the_account(self, store: OpenStore, alice: User) -> None:
        bob, carol = store.admin("bob"), store.admin("carol")
        assert store.refused(Kick(bob, "#general", "carol")) is ErrorCode.FORBIDDEN
        store.do(ChangeAccount(None, "carol", role="member"))
        assert store.refused(Kick(carol, "#general", "alice")) is ErrorCode.FORBIDDEN
        store.do(Kick(bob, "#general", "carol"))

    def test_stored_owner_of_an_old_database_counts_as_member(
        self, open_store: Callable[..., OpenStore], store: OpenStore, alice: User, bob: User
    ) -> None:
        store.store.close()
        with closing(sqlite3.connect(store.file)) as connection, connection:
            connection.execute("UPDATE members SET role = 'owner' WHERE user_id = ?", (alice.id,))
        store = open_store()
        assert store.refused(Kick(alice, "#general", "bob")) is ErrorCode.FORBIDDEN
        assert store.membership(alice).role == "member"
        seq = store.send(bob, "text")
        assert store.refused(delete(alice, seq)) is ErrorCode.FORBIDDEN

    @pytest.mark.parametrize(
        "changes", [{"private": True}, {"archived": True}, {"private": True, "archived": True}]
    )
    def test_general_cannot_be_closed(self, store: OpenStore, changes: dict[str, Any]) -> None:
        alice = store.admin("alice")
        operation = ChangeSettings(alice, "#general", **changes)
        assert store.refused(operation) is ErrorCode.FORBIDDEN
        assert store.refused(DeleteChannel(alice, "#general")) is ErrorCode.FORBIDDEN
        store.sign_in("bob")
        store.do(ChangeSettings(alice, "#general", posting="moderators"))

    def test_general_has_no_owner_of_its_own(self, store: OpenStore, alice: User) -> None:
        carol = store.admin("carol")
        operation = SetChannelRole(carol, "#general", "alice", "owner")
        assert store.refused(operation) is ErrorCode.FORBIDDEN


class TestSettings:
    def test_change_is_one_event_with_all_settings(self, room: Room) -> None:
        room.store.do(ChangeSettings(room.owner, room.name, posting="moderators"))
        room.store.do(ChangeSettings(room.owner, room.name, topic="moderators"))
        item = room.last()
        assert item.kind == "settings"
        assert item.settings is not None
        assert item.settings.model_dump() == {"posting": "moderators", "topic": "moderators"}
        assert item.changed == ("topic",)
        settings = room.store.membership(room.member, room.name).channel.settings
        assert settings == DEFAULT._replace(posting="moderators", topic="moderators")
        same = ChangeSettings(room.owner, room.name, posting="moderators")
        assert room.store.append(same).duplicate

    @pytest.mark.parametrize("user", ["moderator", "member"])
    def test_only_the_owner_changes_settings(self, room: Room, user: str) -> None:
        operation = ChangeSettings(room.people[user], room.name, posting="moderators")
        assert room.refusal(operation).code is ErrorCode.FORBIDDEN
        assert room.refusal(DeleteChannel(room.people[user], room.name)).code is ErrorCode.FORBIDDEN

    @pytest.mark.parametrize("setting", ["posting", "topic", "pins"])
    def test_settings_reserve_acts_for_moderators(self, room: Room, setting: str) -> None:
        store = room.store
        seq = store.send(room.owner, "text", room.name)
        changes: dict[str, Any] = {setting: "moderators"}
        store.do(ChangeSettings(room.owner, room.name, **changes))
        acts = {
            "posting": lambda user: message(user, "text", room.name),
            "topic": lambda user: topic(user, "text", room.name),
            "pins": lambda user: pin(user, seq, room.name),
        }
        assert room.refusal(acts[setting](room.member)).code is ErrorCode.FORBIDDEN
        store.do(acts[setting](room.moderator))
        for name in acts.keys() - {setting}:
            store.do(acts[name](room.member))

    def test_archived_channel_can_only_be_read(self, room: Room) -> None:
        store = room.store
        seq = store.send(room.member, "text", room.name)
        store.do(ChangeSettings(room.owner, room.name, archived=True))
        for user in (room.owner, room.moderator, room.member):
            for operation in (
                message(user, "text", room.name),
                react(user, seq, "+1", room.name),
                pin(user, seq, room.name),
                topic(user, "text", room.name),
            ):
                assert room.refusal(operation).code is ErrorCode.ARCHIVED
        assert room.refusal(Kick(room.owner, room.name, "member")).code is ErrorCode.ARCHIVED
        store.do(delete(room.member, seq, room.name))
        store.do(SetChannelRole(room.owner, room.name, "member", "moderator"))
        store.leave(room.moderator, room.name)
        store.do(ChangeSettings(room.owner, room.name, archived=False))
        store.send(room.member, "text", room.name)

    def test_private_cannot_be_removed(self, private: Room) -> None:
        refused = private.refusal(ChangeSettings(private.owner, private.name, private=False))
        assert (refused.code, refused.field) == (ErrorCode.FORBIDDEN, "private")

    def test_channel_made_private_leaves_the_directory(self, room: Room) -> None:
        def listed() -> list[str]:
            rows, _ = room.store.read(
                lambda reader: reader.directory(room.outsider, cursor=None, limit=10)
            )
            return [row.name for row in rows]

        assert listed() == ["#general", "#room"]
        room.store.do(ChangeSettings(room.owner, room.name, private=True))
        assert listed() == ["#general"]
        refused = room.refusal(message(room.outsider, "hi", room.name))
        assert refused.code is ErrorCode.NO_SUCH_CHANNEL
        room.store.send(room.member, "still here", room.name)

    @pytest.mark.parametrize("seconds", [1, RETENTION_MIN - 1])
    def test_retention_is_at_least_a_day(self, room: Room, seconds: int) -> None:
        refused = room.refusal(ChangeSettings(room.owner, room.name, retention=seconds))
        assert (refused.code, refused.field) == (ErrorCode.INVALID, "retention")

    def test_settings_survive_a_restart(
        self, open_store: Callable[..., OpenStore], private: Room
    ) -> None:
        private.store.do(ChangeSettings(private.owner, private.name, posting="moderators"))
        private.store.store.close()
        store = open_store()
        assert store.refused(message(private.member, "hi", private.name)) is ErrorCode.FORBIDDEN
        refused = store.refused(message(private.outsider, "hi", private.name))
        assert refused is ErrorCode.NO_SUCH_CHANNEL

    def test_direct_channels_have_no_settings(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.send(alice, "hi", "@alice,bob")
        operation = ChangeSettings(alice, "@alice,bob", archived=True)
        assert store.refused(operation) is ErrorCode.FORBIDDEN
        assert store.refused(DeleteChannel(alice, "@alice,bob")) is ErrorCode.FORBIDDEN


def test_admin_of_the_server_has_no_rights_in_other_channels(room: Room) -> None:
    room.store.do(ChangeAccount(None, "outsider", role=ADMIN))
    refused = room.refusal(Kick(room.outsider, room.name, "member"))
    assert refused.code is ErrorCode.NOT_A_MEMBER
    room.store.do(JoinChannel(room.outsider, room.name))
    refused = room.refusal(Kick(room.outsider, room.name, "member"))
    assert refused.code is ErrorCode.FORBIDDEN
