"""Administration: roles, disabled accounts, invitations, bans, settings, and the audit log."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.values import Limits
from chat.store.accounts import (
    ADMIN,
    AccountOperation,
    AddBan,
    AddDevice,
    ChangeAccount,
    CreateInvitation,
    CreateLink,
    EraseAccount,
    LiftBan,
    RecordSettings,
    RevokeInvitation,
    SignIn,
)
from chat.store.operations import Operation, User
from tests.store.opened import OpenStore, message

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
def admin(store: OpenStore) -> User:
    """Return the only admin."""
    return store.admin("root")


def ban(
    actor: User | None,
    whom: str,
    until: int | None = None,
    reason: str = "",
    *,
    force: bool = False,
) -> AddBan:
    """Return a ban of a name, or of a network."""
    if "." in whom or ":" in whom:
        return AddBan(actor, None, ip_network(whom), until, reason, force, LOOPBACK)
    return AddBan(actor, whom, None, until, reason, force, LOOPBACK)


def lift(actor: User | None, whom: str) -> LiftBan:
    """Return the lifting of a ban."""
    if "." in whom or ":" in whom:
        return LiftBan(actor, None, ip_network(whom))
    return LiftBan(actor, whom, None)


def at(user: User, address: str) -> User:
    """Return the session of a user at an address."""
    return User(user.id, user.name, user.device, address)


def codes(outcomes: list[Any]) -> list[ErrorCode | None]:
    """Return the code of each refusal, and None for a result."""
    return [each.code if isinstance(each, CommandError) else None for each in outcomes]


class TestRights:
    def test_only_admins_administrate(self, store: OpenStore, admin: User, alice: User) -> None:
        operations: list[AccountOperation[Any]] = [
            ChangeAccount(alice, "alice", role=ADMIN),
            ChangeAccount(alice, "root", disabled=True),
            CreateInvitation(alice),
            RevokeInvitation(alice, 1),
            ban(alice, "root"),
            lift(alice, "root"),
        ]
        for operation in operations:
            assert store.refused(operation) is ErrorCode.FORBIDDEN
        assert store.acts == ["created", "role", "created"]

    def test_role_taken_away_counts_at_once(self, store: OpenStore, admin: User) -> None:
        second = store.admin("second")
        outcomes = store.together(
            [ChangeAccount(admin, "second", role="member"), CreateInvitation(second)]
        )
        assert codes(outcomes) == [None, ErrorCode.FORBIDDEN]

    def test_two_demotions_at_once_leave_one_admin(self, store: OpenStore, admin: User) -> None:
        second = store.admin("second")
        outcomes = store.together(
            [
                ChangeAccount(admin, "second", role="member"),
                ChangeAccount(second, "root", role="member"),
            ]
        )
        assert codes(outcomes) == [None, ErrorCode.FORBIDDEN]
        both = store.admin("third"), admin
        outcomes = store.together([ChangeAccount(each, each.name, role="member") for each in both])
        assert codes(outcomes) == [None, ErrorCode.LAST_ADMIN]

    def test_last_admin_cannot_be_demoted_disabled_or_banned(
        self, store: OpenStore, admin: User
    ) -> None:
        for actor in (admin, None):
            for operation in (
                ChangeAccount(actor, "root", role="member"),
                ChangeAccount(actor, "root", role="bot"),
                ChangeAccount(actor, "root", disabled=True),
                ban(actor, "root", force=True),
            ):
                assert store.refused(operation) is ErrorCode.LAST_ADMIN

    def test_disabled_or_banned_admin_does_not_count_as_an_admin(
        self, store: OpenStore, admin: User
    ) -> None:
        store.admin("second")
        store.do(ChangeAccount(admin, "second", disabled=True))
        demotion = ChangeAccount(admin, "root", role="member")
        assert store.refused(demotion) is ErrorCode.LAST_ADMIN
        store.do(ChangeAccount(admin, "second", disabled=False))
        store.do(ban(admin, "second", until=10**15))
        assert store.refused(demotion) is ErrorCode.LAST_ADMIN
        store.do(lift(admin, "second"))
        store.do(demotion)


class TestAccounts:
    def test_account_is_disabled_and_enabled(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        account = store.do(ChangeAccount(admin, "Alice", disabled=True))
        assert account.disabled
        token = b"alice" * 8
        for operation in (message(alice), SignIn("alice", token, token), CreateLink(alice, "x")):
            assert store.refused(operation) is ErrorCode.DISABLED
        with pytest.raises(CommandError) as refused:
            store.log(alice)
        assert refused.value.code is ErrorCode.DISABLED
        wrong = SignIn("alice", b"wrong", b"wrong")
        assert store.refused(wrong) is ErrorCode.BAD_TOKEN  # does not reveal that it is disabled
        store.do(ChangeAccount(admin, "alice", disabled=False))
        assert store.send(alice)

    def test_link_code_of_a_disabled_account_is_refused_and_not_used(
        self, store: OpenStore, alice: User
    ) -> None:
        code = store.do(CreateLink(alice, "alice")).code
        store.do(ChangeAccount(None, "alice", disabled=True))
        linked = SignIn("alice", b"new", b"new", link=code)
        assert store.refused(linked) is ErrorCode.DISABLED
        store.do(ChangeAccount(None, "alice", disabled=False))
        assert store.do(linked).is_new_device

    def test_change_that_changes_nothing_is_not_recorded(
        self, store: OpenStore, admin: User
    ) -> None:
        before = store.acts
        for _ in range(2):
            store.do(ChangeAccount(admin, "root", role=ADMIN, disabled=False))
        assert store.acts == before

    def test_unknown_account_is_refused(self, store: OpenStore, admin: User) -> None:
        unknown = ChangeAccount(admin, "ghost", disabled=True)
        assert store.refused(unknown) is ErrorCode.NO_SUCH_USER
        assert store.refused(ban(admin, "ghost")) is ErrorCode.NO_SUCH_USER

    def test_entries_name_actor_user_and_details(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        store.do(ChangeAccount(at(admin, "192.0.2.1"), "alice", role=ADMIN, disabled=True))
        role, disabled = store.entries[-2:]
        assert (role.act, role.actor, role.user) == ("role", admin, alice)
        assert (role.address, role.details) == ("192.0.2.1", {"role": "admin", "before": "member"})
        assert (disabled.act, disabled.details) == ("disabled", {})
        assert [entry.seq for entry in store.entries] == list(range(1, len(store.entries) + 1))


class TestInvitations:
    def test_admin_owns_the_channels_that_the_invitation_creates(
        self, store: OpenStore, admin: User
    ) -> None:
        store.do(CreateInvitation(admin, channels=("#team",)))
        assert store.membership(admin, "#team").role == "owner"
        created = store.do(CreateInvitation(None, channels=("#ops", "#Team")))
        assert created.invitation.channels == ("#ops", "#team")
        assert created.invitation.by is None

    @pytest.mark.parametrize("channel", ["@root,alice", "#echo", "no channel"])
    def test_only_public_channels_can_be_named(
        self, store: OpenStore, admin: User, channel: str
    ) -> None:
        refused = store.refused(CreateInvitation(admin, channels=(channel,)))
        assert refused in (ErrorCode.INVALID, ErrorCode.FORBIDDEN)
        assert "invitation_created" not in store.acts

    def test_refused_invitation_creates_no_channel(
        self, open_store: Callable[[Limits], OpenStore]
    ) -> None:
        store = open_store(Limits(channels=3))
        root = store.admin("root")
        for channels in (("#new", "@root,alice"), ("#new", "#echo"), ("#1", "#2", "#3")):
            store.refused(CreateInvitation(root, channels=channels))
        memberships = store.read(lambda reader: reader.memberships(root))
        assert [each.channel.name for each in memberships] == ["#general"]

    @pytest.mark.parametrize("act", ["role", "disabled", "banned", "erased"])
    def test_admin_who_is_stopped_leaves_no_valid_invitation(
        self, store: OpenStore, admin: User, act: str
    ) -> None:
        eve = store.admin("eve")
        code = store.do(CreateInvitation(eve, role="admin", uses=5)).code
        other = store.do(CreateInvitation(admin)).code
        store.do(SignIn("early", b"e", b"e", invitation=code))
        stop: dict[str, AccountOperation[Any]] = {
            "role": ChangeAccount(admin, "eve", role="member"),
            "disabled": ChangeAccount(admin, "eve", disabled=True),
            "banned": ban(admin, "eve", until=2**40),
            "erased": EraseAccount(None, "eve"),
        }
        store.do(stop[act])
        again = SignIn("eve2", b"x", b"x", invitation=code)
        assert store.refused(again) is ErrorCode.INVITATION_INVALID
        assert store.acts[-2:] == [act, "invitation_revoked"]
        assert store.do(SignIn("new", b"n", b"n", invitation=other)).claimed

    def test_code_is_stored_and_recorded_nowhere(self, store: OpenStore, admin: User) -> None:
        created = store.do(CreateInvitation(admin, channels=("#team",)))
        assert created.code not in repr(created)
        store.store.close()
        written = b"".join(path.read_bytes() for path in store.folder.iterdir())
        for form in (created.code, created.code.replace("-", "")):
            assert form.encode() not in written

    def test_revoking_again_changes_nothing(self, store: OpenStore, admin: User) -> None:
        created = store.do(CreateInvitation(admin))
        for _ in range(2):
            store.do(RevokeInvitation(admin, created.invitation.id))
        assert store.acts[2:] == ["invitation_created", "invitation_revoked"]
        unknown = RevokeInvitation(admin, 99)
        assert store.refused(unknown) is ErrorCode.NO_SUCH_INVITATION


class TestBans:
    def test_banned_account_is_refused_with_actor_reason_and_end(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        until = int(time.time() * 1_000) + 3_600_000
        store.do(ban(admin, "Alice", until, "spam"))
        outcome = store.outcome(message(alice))
        assert isinstance(outcome, CommandError)
        assert outcome.code is ErrorCode.BANNED
        day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(until / 1_000))
        assert outcome.message == f"root has banned you from this server until {day} UTC: spam"

    def test_banned_account_cannot_return_by_any_way(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        store.do(AddDevice(None, "alice", b"other", ""))
        code = store.do(CreateLink(alice, "alice")).code
        store.do(ban(admin, "alice"))
        token = b"alice" * 8
        operations: list[Operation[Any]] = [
            message(alice),
            SignIn("alice", token, token),
            SignIn("alice", b"other", b"other", address="198.51.100.1"),
            SignIn("alice", b"new", b"new", link=code),
            CreateLink(alice, "alice"),
        ]
        for operation in operations:
            assert store.refused(operation) is ErrorCode.BANNED
        with pytest.raises(CommandError):
            store.log(alice)

    def test_banned_address_is_refused_for_every_account(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        store.send(at(alice, "192.0.2.7"))
        store.do(ban(admin, "192.0.2.0/24", reason="flood"))
        token = b"alice" * 8
        operations: list[Operation[Any]] = [
            message(at(alice, "192.0.2.200")),
            message(at(alice, "192.0.2.7")),
            message(at(alice, "::ffff:192.0.2.7")),
            SignIn("alice", token, token, address="192.0.2.8"),
            SignIn("new", b"x", b"x", address="192.0.2.9"),
        ]
        for operation in operations:
            assert store.refused(operation) is ErrorCode.BANNED
        with pytest.raises(CommandError, match=r"root has banned your address.*: flood"):
            store.log(at(alice, "192.0.2.1"))
        assert store.send(at(alice, "198.51.100.1"))
        assert store.do(SignIn("new", b"x", b"x", address="198.51.100.1")).claimed

    def test_ban_takes_effect_within_its_commit(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        outcomes = store.together([message(alice), ban(admin, "alice"), message(alice)])
        assert codes(outcomes) == [None, None, ErrorCode.BANNED]

    def test_ban_ends_by_time(self, store: OpenStore, admin: User, alice: User) -> None:
        store.set_clock(10_000)
        store.do(ban(admin, "alice", until=10_100_000))
        store.do(ban(admin, "192.0.2.0/24", until=10_100_000))
        assert store.refused(message(alice)) is ErrorCode.BANNED
        store.set_clock(10_101)
        assert store.send(at(alice, "192.0.2.7"))
        assert store.refused(lift(admin, "alice")) is ErrorCode.NO_SUCH_BAN

    def test_ban_is_replaced_and_lifted(self, store: OpenStore, admin: User, alice: User) -> None:
        before = len(store.entries)
        for reason in ("spam", "spam", "more spam"):
            for whom in ("alice", "192.0.2.0/24"):
                store.do(ban(admin, whom, reason=reason))
        bans, cursor = store.read(lambda reader: reader.accounts.bans(admin, cursor=None, limit=10))
        assert [each.reason for each in bans] == ["more spam"] * 2
        assert cursor is None
        for whom in ("alice", "192.0.2.0/24"):
            store.do(lift(admin, whom))
            assert store.refused(lift(admin, whom)) is ErrorCode.NO_SUCH_BAN
        assert store.send(alice)
        assert store.acts[before:] == ["banned"] * 4 + ["unbanned"] * 2
        assert store.entries[before + 1].details == {"network": "192.0.2.0/24", "reason": "spam"}

    @pytest.mark.parametrize(
        "whom", ["127.0.0.1/32", "0.0.0.0/0", "::1/128", "root", "203.0.113.0/24"]
    )
    def test_ban_of_loopback_or_oneself_needs_force(
        self, store: OpenStore, admin: User, whom: str
    ) -> None:
        store.admin("second")
        actor = at(admin, "203.0.113.5")
        assert store.refused(ban(actor, whom)) is ErrorCode.NEEDS_FORCE
        store.do(ban(actor, whom, force=True))

    def test_ban_that_would_end_in_the_past_is_refused(
        self, store: OpenStore, admin: User, alice: User
    ) -> None:
        store.set_clock(10_000)
        assert store.refused(ban(admin, "alice", until=9_999_000)) is ErrorCode.INVALID


class TestSettings:
    def test_admins_cannot_invite_to_a_closed_server(self, store: OpenStore, admin: User) -> None:
        store.do(RecordSettings(None, {"registration": "closed"}))
        assert store.refused(CreateInvitation(admin)) is ErrorCode.REGISTRATION_CLOSED
        store.do(CreateInvitation(None))
        store.do(RecordSettings(None, {"registration": "invite"}))
        store.do(CreateInvitation(admin))

    def test_changed_settings_are_recorded(self, store: OpenStore) -> None:
        store.do(RecordSettings(None, {"registration": "open", "actor": "x"}))
        store.do(RecordSettings(None, {"registration": "open", "actor": "x"}))
        store.do(RecordSettings(None, {"registration": "invite", "actor": "x"}))
        assert [entry.details for entry in store.entries] == [
            {"registration": "open", "actor": "x"},
            {"registration": "invite"},
        ]

    def test_long_setting_is_cut_in_the_log_and_compared_whole(self, store: OpenStore) -> None:
        networks = [f"203.0.{number}.0/24" for number in range(100)]
        for count in (100, 100, 99):
            store.do(RecordSettings(None, {"exempt_address": ", ".join(networks[:count])}))
        shown = [entry.details["exempt_address"] for entry in store.entries]
        assert len(shown) == 2
        assert len(shown[0]) <= 300
        assert shown[0].endswith("/24, …")
