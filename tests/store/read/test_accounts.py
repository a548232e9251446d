"""Reading accounts, devices, invitations, bans, and the audit log."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from chat.errors import CommandError, ErrorCode
from chat.store.accounts import (
    ADMIN,
    AddAccount,
    AddBan,
    ChangeAccount,
    CreateInvitation,
    RevokeInvitation,
    SetPassword,
    SignIn,
)
from chat.store.operations import User
from chat.store.read.reader import Reader
from tests.store.opened import OpenStore


@pytest.fixture
def admin(store: OpenStore) -> User:
    return store.admin("root")


def test_account_shows_others_only_its_public_fields(
    store: OpenStore, admin: User, alice: User, bob: User
) -> None:
    store.do(SetPassword(alice, "alice", None, "hash"))
    store.do(ChangeAccount(admin, "bob", disabled=True))
    of_alice = store.read(lambda reader: reader.accounts.account(alice, "ALICE"))
    assert (of_alice.user, of_alice.role, of_alice.has_password) == (alice, "member", True)
    of_alice = store.read(lambda reader: reader.accounts.account(admin, "alice"))
    assert (of_alice.has_password, of_alice.password_hash) == (False, None)
    assert store.read(lambda reader: reader.accounts.account(admin, "bob")).disabled
    assert not store.read(lambda reader: reader.accounts.account(alice, "bob")).disabled
    assert store.read(lambda reader: reader.accounts.account(alice, "root")).role == ADMIN
    with pytest.raises(CommandError) as refused:
        store.read(lambda reader: reader.accounts.account(alice, "ghost"))
    assert refused.value.code is ErrorCode.NO_SUCH_USER


def test_accounts_are_listed_by_name(store: OpenStore, admin: User) -> None:
    for name in ("Carol", "bob", "dave"):
        store.do(AddAccount(None, name, "member"))
    store.do(AddBan(admin, "bob", None, 10**15, ""))
    first, cursor = store.read(lambda reader: reader.accounts.page(admin, cursor=None, limit=2))
    rest, end = store.read(lambda reader: reader.accounts.page(admin, cursor=cursor, limit=2))
    assert [each.user.name for each in (*first, *rest)] == ["bob", "Carol", "dave", "root"]
    assert [each.banned for each in (*first, *rest)] == [True, False, False, False]
    assert end is None


def test_invitations_are_listed_newest_first(store: OpenStore, admin: User) -> None:
    codes = [store.do(CreateInvitation(admin, uses=2, channels=("#team",))) for _ in range(3)]
    store.do(SignIn("bob", b"b", b"b", invitation=codes[0].code))
    store.do(RevokeInvitation(None, codes[2].invitation.id))
    first, cursor = store.read(
        lambda reader: reader.accounts.invitations(admin, cursor=None, limit=2)
    )
    rest, end = store.read(
        lambda reader: reader.accounts.invitations(admin, cursor=cursor, limit=2)
    )
    found = [(each.id, each.used, each.revoked) for each in (*first, *rest)]
    assert found == [(3, 0, True), (2, 0, False), (1, 1, False)]
    assert (rest[0].by, rest[0].channels, end) == (admin, ("#team",), None)


def test_bans_in_force_are_listed_newest_first(store: OpenStore, admin: User, alice: User) -> None:
    store.set_clock(1_000)
    store.do(AddBan(admin, "alice", None, 1_100_000, "spam"))
    store.do(AddBan(None, None, ip_network("192.0.2.0/24"), None, ""))
    network, account = store.read(lambda reader: reader.accounts.bans(admin, cursor=None, limit=9))[
        0
    ]
    assert (account.user, account.reason, account.by) == (alice, "spam", admin)
    assert (network.network, network.by) == (ip_network("192.0.2.0/24"), None)
    assert store.read(lambda reader: reader.accounts.banned_networks()).covering("192.0.2.1", 0)
    store.set_clock(2_000)
    (left,), _ = store.read(lambda reader: reader.accounts.bans(admin, cursor=None, limit=9))
    assert left == network


def test_audit_log_is_read_newest_first(store: OpenStore, admin: User, alice: User) -> None:
    newest = store.read(lambda reader: reader.accounts.audit(admin, before=None, limit=2))
    assert [each.seq for each in newest.entries] == [3, 2]
    assert not newest.complete
    oldest = store.read(lambda reader: reader.accounts.audit(admin, before=2, limit=2))
    assert [(each.seq, each.act, each.user) for each in oldest.entries] == [(1, "created", admin)]
    assert oldest.complete


def test_lists_are_for_admins(store: OpenStore, admin: User, alice: User) -> None:
    def lists(reader: Reader) -> list[ErrorCode]:
        found = []
        accounts = reader.accounts
        for query in (
            lambda: accounts.page(alice, cursor=None, limit=1),
            lambda: accounts.invitations(alice, cursor=None, limit=1),
            lambda: accounts.bans(alice, cursor=None, limit=1),
            lambda: accounts.audit(alice, before=None, limit=1),
        ):
            with pytest.raises(CommandError) as refused:
                query()
            found.append(refused.value.code)
        return found

    assert store.read(lists) == [ErrorCode.FORBIDDEN] * 4


def test_unknown_name_has_no_password_to_verify(store: OpenStore) -> None:
    assert store.read(lambda reader: reader.accounts.account_to_verify("ghost")) is None
