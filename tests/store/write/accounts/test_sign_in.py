"""Signing in: names, invitations, devices, link codes, passwords."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.values import Limits
from chat.rights import MEMBER, OWNER
from chat.store.accounts import (
    ADMIN,
    BOT,
    DEVICES_MAX,
    LINKS_PER_HOUR,
    AddAccount,
    AddDevice,
    ChangeAccount,
    CreateInvitation,
    CreateLink,
    EraseAccount,
    RevokeDevice,
    RevokeInvitation,
    SetPassword,
    SignedIn,
    SignIn,
)
from chat.store.codes import erased_name_hash, normalize
from chat.store.operations import Failure, JoinChannel, LeaveChannel, MarkRead, User
from tests.store.opened import OpenStore, message

TOKEN = b"t" * 32
OTHER = b"o" * 32


def code_of(outcome: SignedIn | Failure) -> ErrorCode | None:
    """Return the code of a refusal, or None."""
    return outcome.code if isinstance(outcome, CommandError) else None


def invite(store: OpenStore, uses: int = 1, **options: object) -> str:
    """Create an invitation as the operator; return its code."""
    return store.do(CreateInvitation(None, uses, **options)).code  # type: ignore[arg-type]


def accept(name: str, code: str, token: bytes = TOKEN) -> SignIn:
    """Return a sign-in with an invitation, on a server that requires one."""
    return SignIn(name, token, token, invitation=code, registration="invite")


class TestClaiming:
    @pytest.mark.parametrize(
        "name", ["admin", "ADMIN", "System", "here", "deleted-17", "192.0.2.7"]
    )
    def test_reserved_name_is_unavailable(self, store: OpenStore, name: str) -> None:
        assert store.refused(SignIn(name, TOKEN, TOKEN)) is ErrorCode.NAME_UNAVAILABLE
        assert store.refused(AddAccount(None, name, "member")) is ErrorCode.NAME_UNAVAILABLE
        uninvited = SignIn(name, TOKEN, TOKEN, registration="invite")
        assert store.refused(uninvited) is ErrorCode.NAME_UNAVAILABLE
        invited = accept(name, invite(store))
        assert store.refused(invited) is ErrorCode.NAME_UNAVAILABLE

    @pytest.mark.parametrize(
        "name", ["7K3QX-9MZ2T", "7k3qx-9mz2t", "0Q8VB-KM4TS-W2XNA-7C9DE-H3JPR-6"]
    )
    def test_a_code_is_refused_as_the_name_of_a_new_account(
        self, store: OpenStore, name: str
    ) -> None:
        assert store.refused(SignIn(name, TOKEN, TOKEN)) is ErrorCode.NAME_UNAVAILABLE
        assert store.refused(AddAccount(None, name, "member")) is ErrorCode.NAME_UNAVAILABLE
        invited = accept(name, invite(store))
        assert store.refused(invited) is ErrorCode.NAME_UNAVAILABLE

    def test_names_of_ten_characters_are_possible(self, store: OpenStore) -> None:
        for name in ("hello-world", "alice-12345", "alice20261", "12345-67890"):
            store.sign_in(name)

    def test_setting_reserves_more_names(self, store: OpenStore) -> None:
        reserved = frozenset(("ops",))
        refused = store.refused(SignIn("Ops", TOKEN, TOKEN, reserved=reserved))
        assert refused is ErrorCode.NAME_UNAVAILABLE
        store.do(SignIn("ops-2", TOKEN, TOKEN, reserved=reserved))

    def test_reserved_name_that_exists_keeps_working(self, store: OpenStore) -> None:
        store.sign_in("ops")
        reserved = frozenset(("ops",))
        again = store.do(SignIn("ops", b"ops" * 8, b"ops" * 8, reserved=reserved))
        assert not again.claimed

    def test_name_of_an_erased_account_is_unavailable(self, store: OpenStore) -> None:
        with closing(sqlite3.connect(store.file)) as other:
            ((key,),) = other.execute("SELECT value FROM meta WHERE key = 'accounts_key'")
            erased = erased_name_hash(bytes.fromhex(key), "carol")
            other.execute("INSERT INTO erased_names VALUES (?)", (erased,))
            other.commit()
        assert store.refused(SignIn("Carol", TOKEN, TOKEN)) is ErrorCode.NAME_UNAVAILABLE
        store.sign_in("caroline")

    @pytest.mark.parametrize("registration", ["invite", "closed"])
    def test_new_name_without_an_invitation_is_refused(
        self, store: OpenStore, alice: User, registration: str
    ) -> None:
        new = SignIn("bob", TOKEN, TOKEN, registration=registration)  # type: ignore[arg-type]
        assert store.refused(new) is ErrorCode.REGISTRATION_CLOSED
        known = b"alice" * 8
        again = SignIn("alice", known, known, registration=registration)  # type: ignore[arg-type]
        assert store.do(again).user == alice

    def test_closed_server_takes_no_invitation(self, store: OpenStore) -> None:
        closed = SignIn("bob", TOKEN, TOKEN, invitation=invite(store), registration="closed")
        assert store.refused(closed) is ErrorCode.REGISTRATION_CLOSED

    def test_claim_is_recorded_with_device_and_address(self, store: OpenStore) -> None:
        signed_in = store.do(SignIn("alice", TOKEN, TOKEN, label="laptop", address="192.0.2.7"))
        (entry,) = store.entries
        assert (entry.act, entry.actor, entry.user) == ("created", signed_in.user, signed_in.user)
        assert (entry.device, entry.address) == (signed_in.user.device, "192.0.2.7")
        assert entry.details == {"how": "open", "role": "member", "label": "laptop"}
        assert signed_in.user.address == "192.0.2.7"

    def test_refused_claim_changes_nothing(self, store: OpenStore) -> None:
        store.outcome(SignIn("admin", TOKEN, TOKEN))
        assert store.entries == []
        assert store.read(lambda reader: reader.user("admin")) is None


class TestInvitations:
    def test_invited_user_gets_the_role_and_joins_the_channels(self, store: OpenStore) -> None:
        alice = store.admin("alice")
        created = store.do(
            CreateInvitation(alice, 2, role=ADMIN, channels=("#team", "#General", "#new"))
        )
        assert created.invitation.channels == ("#team", "#general", "#new")
        signed_in = store.do(accept("bob", created.code))
        assert signed_in.claimed
        assert signed_in.role == ADMIN
        assert signed_in.memberships is not None
        names = [membership.channel.name for membership in signed_in.memberships]
        assert names == ["#general", "#new", "#team"]
        stored = store.read(lambda reader: reader.memberships(signed_in.user))
        assert stored == signed_in.memberships
        assert store.acts[-2:] == ["created", "invitation_used"]
        assert store.entries[-2].details["how"] == "invitation"

    def test_first_member_of_a_channel_owns_it(self, store: OpenStore) -> None:
        alice = store.admin("alice")
        store.do(JoinChannel(alice, "#left"))
        code = store.do(CreateInvitation(None, 2, channels=("#left", "#new"))).code
        store.do(LeaveChannel(alice, "#left"))
        for name, role in (("bob", OWNER), ("carol", MEMBER)):
            memberships = store.do(accept(name, code)).memberships or ()
            roles = {each.channel.name: each.role for each in memberships}
            assert roles == {"#general": MEMBER, "#left": role, "#new": role}

    def test_code_is_read_as_typed(self, store: OpenStore) -> None:
        code = invite(store)
        assert store.do(accept("bob", f" {normalize(code).lower()} ")).claimed

    def test_retry_with_the_same_token_uses_no_second_invitation(self, store: OpenStore) -> None:
        code = invite(store, uses=2)
        first = store.do(accept("bob", code))
        again = store.do(accept("Bob", code))
        assert (again.user, again.claimed) == (first.user, False)
        assert again.user.device == first.user.device
        assert store.do(accept("carol", code)).claimed
        assert store.refused(accept("dave", code)) is ErrorCode.INVITATION_INVALID

    def test_taken_name_uses_no_invitation(self, store: OpenStore, alice: User) -> None:
        code = invite(store)
        assert store.refused(accept("alice", code)) is ErrorCode.NAME_TAKEN
        assert store.do(accept("bob", code)).claimed

    def test_one_invitation_use_claimed_by_a_hundred_creates_one_account(
        self, store: OpenStore
    ) -> None:
        code = invite(store)
        outcomes = store.together(
            [accept(f"user{number}", code, b"%d" % number) for number in range(100)]
        )
        refused = [code_of(outcome) for outcome in outcomes if not isinstance(outcome, SignedIn)]
        assert refused == [ErrorCode.INVITATION_INVALID] * 99
        assert store.acts.count("created") == 1
        assert not store.problems()

    def test_unknown_expired_or_revoked_invitation_is_refused(self, store: OpenStore) -> None:
        assert store.refused(accept("bob", "0" * 26)) is ErrorCode.INVITATION_INVALID
        revoked = store.do(CreateInvitation(None))
        store.do(RevokeInvitation(None, revoked.invitation.id))
        assert store.refused(accept("bob", revoked.code)) is ErrorCode.INVITATION_INVALID
        store.set_clock(10_000)
        expired = invite(store, seconds=60)
        store.set_clock(10_061)
        assert store.refused(accept("bob", expired)) is ErrorCode.INVITATION_INVALID

    def test_invited_users_count_against_no_quota(self, store: OpenStore) -> None:
        invited = SignIn("bob", TOKEN, TOKEN, lambda: 9.0, invitation=invite(store))
        assert store.do(invited).claimed

    def test_invitation_takes_no_more_channels_than_the_limit(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        store = open_store(Limits(channels=2))
        code = invite(store, channels=("#a", "#b", "#c"))
        memberships = store.do(accept("bob", code)).memberships or ()
        assert [each.channel.name for each in memberships] == ["#a", "#general"]


class TestAddedAccounts:
    def test_added_account_joins_general_at_its_first_sign_in(self, store: OpenStore) -> None:
        account = store.do(AddAccount(None, "carol", "bot"))
        assert (account.user.name, account.role, account.seen) == ("carol", "bot", None)
        store.do(AddDevice(None, "carol", TOKEN, ""))
        assert store.commits[-1].events == []
        first = store.do(SignIn("Carol", TOKEN, TOKEN, registration="closed"))
        assert (first.claimed, first.role, first.is_new_device) == (False, "bot", False)
        event = store.last_event
        assert event is not None
        assert (event.kind, event.author) == ("join", "carol")
        store.leave(first.user, "#general")
        store.do(SignIn("carol", TOKEN, TOKEN))
        assert store.last_event is None

    def test_added_account_signs_in_with_a_link_code(self, store: OpenStore) -> None:
        store.do(AddAccount(None, "carol", "member"))
        code = store.do(CreateLink(None, "carol")).code
        first = store.do(SignIn("carol", None, TOKEN, link=code))
        assert first.is_new_device
        assert store.membership(first.user).role == "member"

    def test_name_that_exists_or_is_invalid_is_refused(self, store: OpenStore, alice: User) -> None:
        assert store.refused(AddAccount(None, "ALICE", "member")) is ErrorCode.NAME_TAKEN
        assert store.refused(AddAccount(None, "no name", "member")) is ErrorCode.INVALID


class TestDevices:
    def test_each_token_is_a_device(self, store: OpenStore) -> None:
        first = store.do(SignIn("alice", TOKEN, TOKEN, label="laptop"))
        store.do(AddDevice(None, "alice", OTHER, "phone"))
        second = store.do(SignIn("alice", OTHER, OTHER, label="ignored"))
        assert first.user.device != second.user.device
        found = store.read(lambda reader: reader.accounts.devices(first.user))
        assert [(each.id, each.label) for each in found] == [
            (second.user.device, "phone"),
            (first.user.device, "laptop"),
        ]

    def test_revoked_device_is_refused_everywhere(self, store: OpenStore, alice: User) -> None:
        store.do(AddDevice(None, "alice", OTHER, ""))
        other = store.do(SignIn("alice", OTHER, OTHER)).user
        store.do(RevokeDevice(alice, "Alice", other.device))
        assert store.refused(message(other)) is ErrorCode.REVOKED
        assert store.refused(SignIn("alice", OTHER, OTHER)) is ErrorCode.REVOKED
        with pytest.raises(CommandError) as refused:
            store.log(other)
        assert refused.value.code is ErrorCode.REVOKED
        assert store.send(alice)
        assert len(store.read(lambda reader: reader.accounts.devices(alice))) == 1

    def test_revoked_device_is_refused_in_the_same_commit(
        self, store: OpenStore, alice: User
    ) -> None:
        outcomes = store.together(
            [message(alice), RevokeDevice(None, "alice", alice.device), message(alice)]
        )
        assert code_of(outcomes[2]) is ErrorCode.REVOKED  # type: ignore[arg-type]
        assert len(store.commits[-1].events) == 1

    def test_revoking_again_changes_nothing(self, store: OpenStore, alice: User) -> None:
        for _ in range(2):
            store.do(RevokeDevice(None, "alice", alice.device))
        assert store.acts == ["created", "device_revoked"]

    def test_device_of_another_user_cannot_be_revoked(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        assert store.refused(RevokeDevice(alice, "bob", bob.device)) is ErrorCode.FORBIDDEN
        unknown = RevokeDevice(alice, "alice", bob.device)
        assert store.refused(unknown) is ErrorCode.NO_SUCH_DEVICE

    def test_revoked_token_is_not_added_again(self, store: OpenStore, alice: User) -> None:
        token = b"alice" * 8
        store.do(RevokeDevice(None, "alice", alice.device))
        code = store.do(CreateLink(None, "alice")).code
        stolen = SignIn("alice", token, token, link=code)
        assert store.refused(stolen) is ErrorCode.REVOKED
        assert store.do(SignIn("alice", OTHER, OTHER, link=code)).is_new_device

    def test_revoking_a_device_voids_the_link_code(self, store: OpenStore, alice: User) -> None:
        code = store.do(CreateLink(alice, "alice")).code
        store.do(RevokeDevice(None, "alice", alice.device))
        thief = SignIn("alice", OTHER, OTHER, link=code)
        assert store.refused(thief) is ErrorCode.LINK_INVALID

    def test_number_of_devices_is_limited(self, store: OpenStore, alice: User) -> None:
        for number in range(1, DEVICES_MAX):
            store.do(AddDevice(None, "alice", b"%d" % number, ""))
        one_more = AddDevice(None, "alice", TOKEN, "")
        assert store.refused(one_more) is ErrorCode.LIMIT_REACHED
        store.do(RevokeDevice(None, "alice", alice.device))
        store.do(one_more)


class TestLinks:
    def test_link_code_adds_a_device_once(self, store: OpenStore, alice: User) -> None:
        link = store.do(CreateLink(alice, "alice"))
        assert link.code not in repr(link)
        added = store.do(
            SignIn("alice", OTHER, OTHER, label="phone", address="192.0.2.9", link=link.code)
        )
        assert (added.user, added.is_new_device, added.claimed) == (alice, True, False)
        entry = store.entries[-1]
        assert (entry.act, entry.device) == ("device_added", added.user.device)
        assert (entry.address, entry.details) == ("192.0.2.9", {"how": "link", "label": "phone"})
        again = store.do(SignIn("alice", OTHER, OTHER, link=link.code))
        assert (again.user.device, again.is_new_device) == (added.user.device, False)
        third = SignIn("alice", TOKEN, TOKEN, link=link.code)
        assert store.refused(third) is ErrorCode.LINK_INVALID

    def test_refused_device_keeps_the_link_code_unused(self, store: OpenStore, alice: User) -> None:
        hashes = [bytes([number]) * 32 for number in range(1, DEVICES_MAX)]
        for each in hashes:
            store.do(AddDevice(None, "alice", each, ""))
        code = store.do(CreateLink(alice, "alice")).code
        linked = SignIn("alice", OTHER, OTHER, link=code)
        for _ in range(2):
            assert store.refused(linked) is ErrorCode.LIMIT_REACHED
        store.do(RevokeDevice(alice, "alice", alice.device + 1))
        code = store.do(CreateLink(alice, "alice")).code
        assert store.do(SignIn("alice", OTHER, OTHER, link=code)).is_new_device

    def test_link_code_is_void_after_five_wrong_tries(self, store: OpenStore, alice: User) -> None:
        code = store.do(CreateLink(alice, "alice")).code
        for _ in range(4):
            wrong = SignIn("alice", OTHER, OTHER, link="00000-00000")
            assert store.refused(wrong) is ErrorCode.LINK_INVALID
        fifth = store.do(CreateLink(alice, "alice")).code  # a new code has five attempts again
        for _ in range(5):
            assert store.refused(SignIn("alice", OTHER, OTHER, link=code)) is (
                ErrorCode.LINK_INVALID
            )
        void = SignIn("alice", OTHER, OTHER, link=fifth)
        assert store.refused(void) is ErrorCode.LINK_INVALID

    def test_right_code_after_four_wrong_tries_is_valid(
        self, store: OpenStore, alice: User
    ) -> None:
        code = store.do(CreateLink(alice, "alice")).code
        wrong = SignIn("alice", OTHER, OTHER, link="00000-00000")
        right = SignIn("alice", OTHER, OTHER, link=code.lower())
        outcomes = store.together([wrong] * 4 + [right])
        assert isinstance(outcomes[-1], SignedIn)

    def test_number_of_link_codes_in_an_hour_is_limited(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for _ in range(LINKS_PER_HOUR):
            store.do(CreateLink(alice, "alice"))
        entries = len(store.entries)
        assert store.refused(CreateLink(alice, "alice")) is ErrorCode.RATE_LIMITED
        assert len(store.entries) == entries
        store.do(CreateLink(bob, "bob"))
        store.do(CreateLink(None, "alice"))

    def test_link_code_expires(self, store: OpenStore, alice: User) -> None:
        store.set_clock(10_000)
        code = store.do(CreateLink(alice, "alice")).code
        store.set_clock(10_601)
        late = SignIn("alice", OTHER, OTHER, link=code)
        assert store.refused(late) is ErrorCode.LINK_INVALID

    def test_link_code_belongs_to_a_name(self, store: OpenStore, alice: User, bob: User) -> None:
        code = store.do(CreateLink(alice, "alice")).code
        assert store.refused(CreateLink(bob, "alice")) is ErrorCode.FORBIDDEN
        for name in ("bob", "nobody"):
            other = SignIn(name, OTHER, OTHER, link=code)
            assert store.refused(other) is ErrorCode.LINK_INVALID

    def test_valid_token_keeps_the_link_code_unused(self, store: OpenStore, alice: User) -> None:
        code = store.do(CreateLink(alice, "alice")).code
        token = b"alice" * 8
        assert not store.do(SignIn("alice", token, token, link=code)).is_new_device
        assert store.do(SignIn("alice", OTHER, OTHER, link=code)).is_new_device


class TestPasswords:
    def test_device_signs_in_with_the_password(self, store: OpenStore, alice: User) -> None:
        store.do(SetPassword(alice, "alice", None, "hash"))
        account = store.read(lambda reader: reader.accounts.account_to_verify("ALICE"))
        assert account is not None
        assert account.password_hash == "hash"
        assert "hash" not in repr(account).replace("password_hash", "")
        added = store.do(SignIn("alice", OTHER, OTHER, password_hash="hash"))
        assert added.is_new_device
        assert store.entries[-1].details == {"how": "password"}

    def test_password_that_was_changed_meanwhile_is_wrong(
        self, store: OpenStore, alice: User
    ) -> None:
        store.do(SetPassword(alice, "alice", None, "old"))
        store.do(SetPassword(alice, "alice", "old", "new"))
        late = SignIn("alice", OTHER, OTHER, password_hash="old")
        assert store.refused(late) is ErrorCode.BAD_PASSWORD
        change = SetPassword(alice, "alice", "old", "other")
        assert store.refused(change) is ErrorCode.BAD_PASSWORD
        unknown = SignIn("nobody", OTHER, OTHER, password_hash="old")
        assert store.refused(unknown) is ErrorCode.BAD_PASSWORD

    def test_password_can_be_removed(self, store: OpenStore, alice: User) -> None:
        store.do(SetPassword(alice, "alice", None, "hash"))
        for _ in range(2):
            store.do(SetPassword(alice, "alice", "hash", None))
        assert store.acts[1:] == ["password_set", "password_removed"]
        empty = SignIn("alice", OTHER, OTHER, password_hash="")
        assert store.refused(empty) is ErrorCode.BAD_PASSWORD

    def test_password_of_another_user_cannot_be_set(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        assert store.refused(SetPassword(bob, "alice", None, "x")) is ErrorCode.FORBIDDEN

    def test_bot_has_no_password(self, store: OpenStore, alice: User) -> None:
        store.do(SetPassword(alice, "alice", None, "hash"))
        store.do(ChangeAccount(None, "alice", role=BOT))
        assert store.acts[-2:] == ["role", "password_removed"]
        assert store.refused(SetPassword(alice, "alice", None, "x")) is ErrorCode.FORBIDDEN


class TestStanding:
    def test_last_sign_in_is_stored(
        self, store: OpenStore, open_store: Callable[..., OpenStore]
    ) -> None:
        alice = store.do(SignIn("alice", TOKEN, TOKEN)).user
        store.do(AddDevice(None, "alice", OTHER, ""))
        new, first = store.read(lambda reader: reader.accounts.devices(alice))
        assert (new.seen, first.seen) == (None, first.created)
        store.set_clock(9_000)
        store.do(SignIn("alice", OTHER, OTHER))
        store.store.close()
        reopened = open_store()
        new, _ = reopened.read(lambda reader: reader.accounts.devices(alice))
        assert new.seen == 9_000_000
        account = reopened.read(lambda reader: reader.accounts.account(None, "alice"))
        assert account.seen == 9_000_000

    def test_sign_in_with_a_known_token_writes_nothing(self, store: OpenStore, alice: User) -> None:
        token = b"alice" * 8
        store.wait_until_indexed()  # it writes as well
        with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
            ((before,),) = other.execute("PRAGMA data_version")
            store.do(SignIn("alice", token, token))
            ((after,),) = other.execute("PRAGMA data_version")
        assert before == after

    def test_erased_account_is_refused_in_the_same_commit(
        self, store: OpenStore, alice: User
    ) -> None:
        outcomes = store.together(
            [message(alice), EraseAccount(None, "alice"), message(alice), CreateLink(None, "alice")]
        )
        codes = [each.code if isinstance(each, CommandError) else None for each in outcomes]
        assert codes == [None, None, ErrorCode.DISABLED, ErrorCode.NO_SUCH_USER]

    def test_operations_of_an_unknown_user_are_refused(self, store: OpenStore) -> None:
        ghost = User(99, "ghost")
        for operation in (JoinChannel(ghost, "#general"), MarkRead(ghost, "#general", 1)):
            assert store.refused(operation) is ErrorCode.NO_SUCH_USER
