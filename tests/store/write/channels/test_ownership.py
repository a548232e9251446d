"""The ownership of a channel: it passes on whenever the owner is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.store.accounts import (
    BOT,
    AddBan,
    ChangeAccount,
    EraseAccount,
    LiftBan,
)
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    InviteToChannel,
    SetChannelRole,
)
from chat.store.operations import JoinChannel, Operation, RunNextJob, User
from chat.store.store import execute
from tests.serving import eventually
from tests.store.opened import OpenStore
from tests.store.write.channels.conftest import Room

STOPS: dict[str, Operation[object]] = {
    "disabled": ChangeAccount(None, "owner", disabled=True),
    "banned": AddBan(None, "owner", None, None, ""),
    "erased": EraseAccount(None, "owner"),
    "bot": ChangeAccount(None, "owner", role=BOT),
}


def run_jobs(store: OpenStore) -> None:
    """Run the jobs as a server does."""
    while not store.do(RunNextJob()).is_last:
        pass


def owners(room: Room) -> list[str]:
    return [name for name, role in room.roles().items() if role == "owner"]


class TestLeaving:
    def test_longest_serving_moderator_becomes_the_owner(self, room: Room) -> None:
        room.store.leave(room.owner, room.name)
        item = room.last()
        assert (item.kind, item.author, item.user, item.role) == ("role", "mod", "mod", "owner")
        assert room.store.log(room.moderator, room.name)[-2].kind == "leave"
        assert owners(room) == ["mod"]
        room.store.do(SetChannelRole(room.moderator, room.name, "member", "moderator"))

    def test_order_of_joining_counts_and_not_that_of_promotion(self, room: Room) -> None:
        room.store.do(SetChannelRole(room.owner, room.name, "mod", "member"))
        room.store.do(SetChannelRole(room.owner, room.name, "mod", "moderator"))
        room.store.leave(room.owner, room.name)
        assert owners(room) == ["mod"]

    def test_member_becomes_the_owner_if_nobody_moderates(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        carol = store.sign_in("carol")
        for user in (alice, bob, carol):
            store.join(user, "#dev")
        store.leave(bob, "#dev")
        store.join(bob, "#dev")  # after carol now
        store.leave(alice, "#dev")
        assert store.membership(carol, "#dev").role == "owner"

    def test_bots_never_own(self, store: OpenStore, alice: User, bob: User) -> None:
        store.do(ChangeAccount(None, "bob", role=BOT))
        store.join(bob, "#made-by-a-bot")
        assert store.membership(bob, "#made-by-a-bot").role == "member"
        for user in (alice, bob):
            store.join(user, "#dev")
        store.leave(alice, "#dev")
        assert store.membership(bob, "#dev").role == "member"

    def test_stopped_users_are_passed_over_unless_nobody_else_is_left(self, room: Room) -> None:
        for name in ("mod", "second"):
            room.store.do(ChangeAccount(None, name, disabled=True))
        room.store.leave(room.owner, room.name)
        assert owners(room) == ["member"]
        room.store.leave(room.member, room.name)
        room.store.do(ChangeAccount(None, "mod", disabled=False))
        assert owners(room) == ["mod"]

    def test_owner_who_returns_is_a_member(self, room: Room) -> None:
        room.store.leave(room.owner, room.name)
        room.store.do(JoinChannel(room.owner, room.name))
        assert room.roles()["owner"] == "member"

    def test_first_user_who_joins_an_empty_public_channel_owns_it(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        store.leave(alice, "#dev")
        assert store.join(bob, "#dev").role == "owner"
        assert store.join(alice, "#dev").role == "member"

    def test_general_passes_to_nobody(self, store: OpenStore, alice: User, bob: User) -> None:
        admin = store.admin("carol")
        store.leave(admin, "#general")
        assert store.log(alice)[-1].kind == "leave"
        assert store.membership(alice).role == "member"


class TestStops:
    @pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
    def test_ownership_of_a_stopped_user_passes_on(
        self, room: Room, stop: Operation[object]
    ) -> None:
        room.store.do(stop)
        assert room.store.commits[-1].has_jobs
        run_jobs(room.store)
        assert owners(room) == ["mod"]
        kinds = [item.kind for item in room.store.log(room.moderator, room.name)]
        assert kinds.count("role") == 3  # two promotions and this one

    @pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
    def test_acts_of_the_command_line_beside_a_server_pass_it_on(
        self, room: Room, stop: Operation[object]
    ) -> None:
        execute(room.store.url, stop)
        eventually(lambda: room.store.commits[-1].has_jobs, "the running store learns of the job")
        run_jobs(room.store)
        assert owners(room) == ["mod"]

    def test_job_continues_after_a_restart(
        self, open_store: Callable[..., OpenStore], room: Room
    ) -> None:
        room.store.do(STOPS["disabled"])
        room.store.store.close()
        store = open_store()
        assert store.read(lambda reader: reader.accounts.has_jobs())
        run_jobs(store)
        assert store.membership(room.moderator, room.name).role == "owner"

    def test_all_channels_of_a_stopped_user_pass_on(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        names = [f"#dev{number}" for number in range(5)]
        for name in names:
            store.join(alice, name)
            store.join(bob, name)
        store.do(ChangeAccount(None, "alice", disabled=True))
        run_jobs(store)
        assert {store.membership(bob, name).role for name in names} == {"owner"}

    def test_former_owner_moderates_when_enabled_again(self, room: Room) -> None:
        room.store.do(STOPS["banned"])
        run_jobs(room.store)
        room.store.do(LiftBan(None, "owner", None))
        assert room.roles()["owner"] == "moderator"

    def test_owner_who_is_enabled_before_the_job_runs_keeps_it(self, room: Room) -> None:
        room.store.do(STOPS["disabled"])
        room.store.do(ChangeAccount(None, "owner", disabled=False))
        run_jobs(room.store)
        assert owners(room) == ["owner"]

    def test_stopped_owner_keeps_it_if_nobody_can_succeed(
        self, store: OpenStore, alice: User
    ) -> None:
        store.join(alice, "#dev")
        store.do(ChangeAccount(None, "alice", disabled=True))
        run_jobs(store)
        store.do(ChangeAccount(None, "alice", disabled=False))
        assert store.membership(alice, "#dev").role == "owner"

    def test_ban_from_a_channel_passes_nothing_on_elsewhere(self, room: Room) -> None:
        room.store.join(room.member, "#own")
        room.store.do(BanFromChannel(room.moderator, room.name, "member"))
        assert room.store.membership(room.member, "#own").role == "owner"

    def test_ban_from_the_server_leaves_other_memberships_alone(self, room: Room) -> None:
        before = room.store.log(room.owner, room.name)
        room.store.do(AddBan(None, "member", None, None, ""))
        run_jobs(room.store)
        assert room.store.log(room.owner, room.name) == before


class TestEmptyPrivateChannels:
    def test_last_member_who_leaves_deletes_it(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.do(CreateChannel(alice, "#secret", True))
        store.do(InviteToChannel(alice, "#secret", "bob"))
        store.leave(alice, "#secret")
        kinds = [event["kind"] for event in store.commits[-1].events]
        assert kinds == ["leave", "deleted"]
        assert [user.name for user, _ in store.commits[-1].uninvited] == ["Bob"]
        assert store.commits[-1].has_jobs
        assert store.join(bob, "#secret").role == "owner"  # a new channel
        assert not store.membership(bob, "#secret").channel.settings.private

    def test_erased_last_member_deletes_it(self, store: OpenStore, alice: User, bob: User) -> None:
        store.do(CreateChannel(alice, "#secret", True))
        store.send(alice, "to myself", "#secret")
        store.do(EraseAccount(None, "alice"))
        run_jobs(store)
        assert store.join(bob, "#secret").role == "owner"
        store.wait_until_indexed()
        assert not store.problems()

    def test_channel_made_private_is_deleted_when_empty(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        store.do(ChangeSettings(alice, "#dev", private=True))
        store.leave(alice, "#dev")
        assert store.join(bob, "#dev").role == "owner"
