"""Accounts, devices, passwords, invitations, bans and the audit log, at the running server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat.errors import CloseCode
from chat.protocol.commands import (
    AccountCommand,
    Ban,
    Command,
    CreateInvitation,
    CreateLink,
    Hello,
    ListBans,
    ListDevices,
    ListInvitations,
    ListUsers,
    ReadAudit,
    Revoke,
    SetPassword,
    Unban,
)
from chat.protocol.frames import (
    Account,
    Audit,
    Bans,
    Devices,
    ErrorFrame,
    InvitationFrame,
    Invitations,
    LinkCode,
    Users,
    Welcome,
)
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]
GOOD = "correct horse battery staple"


@asynccontextmanager
async def admin(server: ChatServer, name: str) -> AsyncIterator[Peer]:
    """Sign in with a new name, and make it an admin."""
    async with Peer.signed_in(server.url, name) as peer:
        done = await asyncio.to_thread(server.administer, "user", "role", name, "admin")
        assert done.returncode == 0, done.stderr
        changed = await peer.next(Account)
        assert changed.account.role == "admin"
        yield peer


async def refusal(peer: Peer, command: Command) -> str:
    return (await peer.call(command, ErrorFrame)).code


def hello(name: str, token: str | None = None, **fields: Any) -> Hello:
    return Hello(v=1, name=name, token=token, **fields)


class TestDevices:
    async def test_a_link_code_signs_in_another_device_and_the_others_are_notified(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.connect(shared.url) as laptop, Peer.connect(shared.url) as phone:
            await laptop.hello(name, device="laptop")
            link = await laptop.call(CreateLink(), LinkCode)
            typed = link.code.lower().replace("-", " ")
            welcome = await phone.hello(name, link=typed, device="phone")
            assert welcome.user == name
            assert welcome.token
            notice = await laptop.next(Account)
            assert notice.device is not None
            assert notice.device.label == "phone"
            devices = (await laptop.call(ListDevices(), Devices)).devices
            assert [(each.label, each.current) for each in devices] == [
                ("phone", False),
                ("laptop", True),
            ]
            assert phone.kept(Account) == []
            async with Peer.signed_in(shared.url, name, welcome.token):
                pass

    async def test_a_link_code_is_for_one_name_and_one_use(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name, other = fresh("alice"), fresh("bob")
        async with Peer.signed_in(shared.url, name) as alice, Peer.signed_in(shared.url, other):
            link = await alice.call(CreateLink(), LinkCode)
            async with Peer.connect(shared.url) as peer:
                assert await refusal(peer, hello(other, link=link.code)) == "link_invalid"
                assert await refusal(peer, hello(fresh("new"), link=link.code)) == "link_invalid"
                await peer.hello(name, link=link.code)
            async with Peer.connect(shared.url) as peer:
                assert await refusal(peer, hello(name, link=link.code)) == "link_invalid"

    async def test_a_link_code_is_void_after_five_wrong_attempts(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.signed_in(shared.url, name) as alice, Peer.connect(shared.url) as peer:
            link = await alice.call(CreateLink(), LinkCode)
            for _ in range(5):
                assert await refusal(peer, hello(name, link="AAAAA-AAAAA")) == "link_invalid"
            assert await refusal(peer, hello(name, link=link.code)) == "link_invalid"

    async def test_signing_in_by_link_again_with_the_same_token_is_harmless(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name, token = fresh("alice"), secrets.token_urlsafe(32)
        async with Peer.signed_in(shared.url, name) as alice:
            link = await alice.call(CreateLink(), LinkCode)
            for _ in range(2):  # a lost welcome does not lock the user out
                async with Peer.connect(shared.url) as peer:
                    await peer.hello(name, token, link=link.code)
            assert len((await alice.call(ListDevices(), Devices)).devices) == 2

    @pytest.mark.feature("server.devices")
    async def test_a_revoked_device_is_signed_out_at_once_and_permanently(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.signed_in(shared.url, name) as alice, Peer.connect(shared.url) as phone:
            link = await alice.call(CreateLink(), LinkCode)
            token = (await phone.hello(name, link=link.code)).token
            added = await alice.next(Account)
            assert added.device is not None
            await alice.call(Revoke(device=added.device.id))
            error = await phone.next(ErrorFrame)
            assert error.code == "revoked"
            assert "link code" in error.message
            assert await phone.close_code() == CloseCode.REVOKED
            async with Peer.connect(shared.url) as again:
                assert await refusal(again, hello(name, token)) in ("revoked", "bad_token")
                assert not CloseCode.tells_to_return(await again.close_code())
            await alice.settle()

    async def test_only_own_devices_can_be_revoked(self, shared: ChatServer, fresh: Fresh) -> None:
        async with (
            Peer.signed_in(shared.url, fresh("alice")) as alice,
            Peer.signed_in(shared.url, fresh("bob")) as bob,
        ):
            (device,) = (await alice.call(ListDevices(), Devices)).devices
            assert await refusal(bob, Revoke(device=device.id)) == "no_such_device"
            await alice.settle()


class TestPasswords:
    async def test_a_password_signs_in_another_device(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.signed_in(shared.url, name) as alice, Peer.connect(shared.url) as phone:
            await alice.call(SetPassword(password=GOOD))
            changed = await alice.next(Account)
            assert changed.account.has_password
            error = await phone.call(hello(name, password="wrong"), ErrorFrame)
            assert error.code == "bad_password"
            assert "link code" in error.message
            welcome = await phone.hello(name, password=GOOD, device="phone")
            assert welcome.token
            notice = await alice.next(Account)
            assert notice.device is not None
            assert notice.device.label == "phone"

    async def test_a_name_that_does_not_exist_gets_the_same_answer(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.signed_in(shared.url, name), Peer.connect(shared.url) as peer:
            for each in (name, fresh("nobody")):
                assert await refusal(peer, hello(each, password="wrong")) == "bad_password"

    async def test_changing_a_password_needs_the_current_one(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.signed_in(shared.url, name) as alice, Peer.connect(shared.url) as peer:
            assert await refusal(alice, SetPassword(password="short")) == "invalid"
            await alice.call(SetPassword(password=GOOD))
            new = "another good one"
            assert await refusal(alice, SetPassword(password=new)) == "bad_password"
            wrong = SetPassword(password=new, current="wrong")
            assert await refusal(alice, wrong) == "bad_password"
            await alice.call(SetPassword(password=new, current=GOOD))
            assert await refusal(peer, hello(name, password=GOOD)) == "bad_password"
            await alice.call(SetPassword(current=new))
            assert await refusal(peer, hello(name, password=new)) == "bad_password"

    async def test_a_valid_token_wins_over_a_wrong_password(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        async with Peer.signed_in(shared.url, name) as alice, Peer.connect(shared.url) as again:
            await alice.call(SetPassword(password=GOOD))
            welcome = await again.hello(name, alice.token, password="wrong")
            assert welcome.token is None


OUTSIDERS: tuple[Command, ...] = (
    ListUsers(),
    AccountCommand(name="x", role="admin"),
    AccountCommand(name="x", disabled=True),
    CreateInvitation(),
    ListInvitations(),
    Revoke(invitation=1),
    Ban(name="x"),
    Ban(address="192.0.2.1"),
    Unban(name="x"),
    ListBans(),
    ReadAudit(),
)


class TestAdmins:
    @pytest.mark.parametrize("command", OUTSIDERS, ids=lambda command: str(command.type))
    async def test_commands_of_admins_are_forbidden_for_others(
        self, shared: ChatServer, fresh: Fresh, command: Command
    ) -> None:
        async with Peer.signed_in(shared.url, fresh("alice")) as alice:
            assert await refusal(alice, command) == "forbidden"

    async def test_all_users_read_accounts_and_only_admins_see_all_fields(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name, other = fresh("alice"), fresh("bob")
        async with admin(shared, name) as alice, Peer.signed_in(shared.url, other) as bob:
            await alice.call(SetPassword(password=GOOD))
            read = (await bob.call(AccountCommand(name=name), Account)).account
            assert (read.name, read.role, read.has_password) == (name, "admin", False)
            own = (await alice.call(AccountCommand(name=name.upper()), Account)).account
            assert own.has_password
            assert await refusal(bob, AccountCommand(name=fresh("nobody"))) == "no_such_user"
            await alice.call(AccountCommand(name=other, disabled=True), Account)
            seen = (await alice.call(AccountCommand(name=other), Account)).account
            assert seen.disabled
            await alice.call(Ban(name=other))
            seen = (await alice.call(AccountCommand(name=other), Account)).account
            assert (seen.disabled, seen.banned) == (True, True)
            async with Peer.signed_in(shared.url, fresh("carol")) as carol:
                hidden = (await carol.call(AccountCommand(name=other), Account)).account
                assert (hidden.disabled, hidden.banned) == (False, False)

    async def test_a_role_applies_from_its_commit(self, shared: ChatServer, fresh: Fresh) -> None:
        name, other = fresh("alice"), fresh("bob")
        async with admin(shared, name) as alice, Peer.signed_in(shared.url, other) as bob:
            await alice.call(AccountCommand(name=other, role="admin"), Account)
            await bob.next(Account, lambda notice: notice.account.role == "admin")
            users = (await bob.call(ListUsers(), Users)).users
            assert {name, other} <= {each.name for each in users}
            await alice.call(AccountCommand(name=other, role="member"), Account)
            assert await refusal(bob, ListUsers()) == "forbidden"
            assert await refusal(bob, Ban(name=name)) == "forbidden"
            await bob.next(Account, lambda notice: notice.account.role == "member")

    async def test_a_disabled_account_cannot_sign_in_until_it_is_enabled(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        other = fresh("bob")
        async with (
            admin(shared, fresh("alice")) as alice,
            Peer.signed_in(shared.url, other) as bob,
        ):
            await alice.call(AccountCommand(name=other, disabled=True), Account)
            assert (await bob.next(ErrorFrame)).code == "disabled"
            assert await bob.close_code() == CloseCode.DISABLED
            async with Peer.connect(shared.url) as again:
                assert await refusal(again, hello(other, bob.token)) == "disabled"
                assert await again.close_code() == CloseCode.DISABLED
            await alice.call(AccountCommand(name=other, disabled=False), Account)
            async with Peer.signed_in(shared.url, other, bob.token):
                pass

    async def test_the_audit_log_names_the_actor_of_each_act(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name, other = fresh("alice"), fresh("bob")
        async with admin(shared, name) as alice, Peer.signed_in(shared.url, other):
            await alice.call(AccountCommand(name=other, disabled=True), Account)
            page = await alice.call(ReadAudit(limit=1), Audit)
            (entry,) = page.entries
            assert not page.complete
            assert (entry.act, entry.by, entry.user) == ("disabled", name, other)
            assert entry.address == "127.0.0.1"
            page = await alice.call(ReadAudit(before=entry.seq, limit=200), Audit)
            assert page.entries[0].seq == entry.seq - 1
            acts = [(each.act, each.user) for each in page.entries]
            assert ("created", other) in acts
            assert ("role", name) in acts


class TestBans:
    @pytest.mark.feature("server.bans")
    async def test_a_banned_user_can_do_nothing(self, shared: ChatServer, fresh: Fresh) -> None:
        name, other = fresh("alice"), fresh("mallory")
        async with admin(shared, name) as alice, Peer.signed_in(shared.url, other) as bad:
            await bad.call(SetPassword(password=GOOD))
            link = await bad.call(CreateLink(), LinkCode)
            await alice.call(Ban(name=other, reason="spam"))
            error = await bad.next(ErrorFrame)
            assert error.code == "banned"
            assert name in error.message
            assert "spam" in error.message
            assert await bad.close_code() == CloseCode.BANNED
            for again_with in (
                hello(other, bad.token),
                hello(other, link=link.code),
                hello(other, password=GOOD),
            ):
                async with Peer.connect(shared.url) as again:
                    assert await refusal(again, again_with) == "banned"
                    assert await again.close_code() == CloseCode.BANNED
            (listed,) = (each for each in await bans_of(alice) if each == other)
            await alice.call(Unban(name=listed))
            async with Peer.signed_in(shared.url, other, bad.token):
                pass

    async def test_a_ban_ends_by_time(self, shared: ChatServer, fresh: Fresh) -> None:
        other = fresh("mallory")
        async with (
            admin(shared, fresh("alice")) as alice,
            Peer.signed_in(shared.url, other) as bad,
        ):
            soon = (await alice.say("now")).ts
            assert soon is not None
            await alice.call(Ban(name=other, until=soon + 3_000))
            assert "until" in (await bad.next(ErrorFrame)).message
            assert await signs_in(shared, other, bad.token)

    async def test_a_ban_says_which_ban_it_replaces(self, shared: ChatServer, fresh: Fresh) -> None:
        address = "203.0.113.77"
        async with admin(shared, fresh("alice")) as alice:
            first = await alice.call(Ban(address=address, reason="spam"))
            assert first.replaced is None
            second = await alice.call(Ban(address=address, reason="flood"))
            assert second.replaced is not None
            assert (second.replaced.address, second.replaced.reason) == (address, "spam")
            await alice.call(Unban(address=address))

    async def test_a_ban_needs_an_object_that_exists(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        async with admin(shared, fresh("alice")) as alice:
            assert await refusal(alice, Ban(name=fresh("nobody"))) == "no_such_user"
            assert await refusal(alice, Ban(address="here")) == "invalid"
            assert await refusal(alice, Unban(address="192.0.2.99")) == "no_such_ban"

    async def test_a_ban_of_oneself_or_of_this_machine_needs_force(
        self, shared: ChatServer, fresh: Fresh
    ) -> None:
        name = fresh("alice")
        # The other admin: the last one could not be banned even with force.
        async with admin(shared, fresh("bob")), admin(shared, name) as alice:
            for command in (Ban(name=name), Ban(address="127.0.0.0/8"), Ban(address="::/0")):
                assert await refusal(alice, command) == "needs_force"
            await alice.settle()


async def bans_of(peer: Peer) -> list[str | None]:
    return [each.name or each.address for each in (await peer.call(ListBans(), Bans)).bans]


async def signs_in(server: ChatServer, name: str, token: str) -> bool:
    """Retry until the server accepts the user."""
    async with asyncio.timeout(60):
        while True:
            async with Peer.connect(server.url) as peer:
                await peer.post(hello(name, token).model_copy(update={"id": "h"}))
                await peer.until(lambda: bool(peer.frames), "an answer")
                if not isinstance(peer.frames[0], ErrorFrame):
                    return True
            await asyncio.sleep(0.2)


class TestInvitations:
    @pytest.fixture
    def closed(self, start_server: Callable[..., ChatServer]) -> ChatServer:
        """Return an invitation-only server with its first admin."""
        server = start_server("--registration", "invite")
        assert server.administer("user", "add", "alice").returncode == 0
        return server

    @asynccontextmanager
    async def operator(self, server: ChatServer) -> AsyncIterator[Peer]:
        await asyncio.to_thread(server.administer, "user", "role", "alice", "admin")
        token = await asyncio.to_thread(server.administer, "token", "alice")
        async with Peer.signed_in(server.url, "alice", token.stdout.strip()) as peer:
            yield peer

    @pytest.mark.feature("server.invitations")
    async def test_a_new_name_needs_an_invitation(self, closed: ChatServer) -> None:
        async with self.operator(closed) as alice, Peer.connect(closed.url) as bob:
            assert await refusal(bob, hello("bob")) == "registration_closed"
            assert await refusal(bob, hello("bob", invite="AAAAA")) == "invitation_invalid"
            made = await alice.call(CreateInvitation(channels=("#team",)), InvitationFrame)
            assert (made.invitation.uses, made.invitation.by) == (1, "alice")
            token = secrets.token_urlsafe(32)
            welcome = await bob.hello("bob", token, invite=made.code.lower())
            assert {each.channel for each in welcome.channels} == {"#general", "#team"}
            async with Peer.connect(closed.url) as again:  # after a lost welcome
                await again.hello("bob", token, invite=made.code)
            async with Peer.connect(closed.url) as carol:
                error = await carol.call(hello("carol", invite=made.code), ErrorFrame)
                assert error.code == "invitation_invalid"
            (listed,) = (await alice.call(ListInvitations(), Invitations)).invitations
            assert (listed.used, listed.channels) == (1, ("#team",))

    async def test_a_revoked_invitation_is_invalid_and_its_accounts_stay(
        self, closed: ChatServer
    ) -> None:
        async with self.operator(closed) as alice, Peer.connect(closed.url) as bob:
            made = await alice.call(CreateInvitation(uses=2), InvitationFrame)
            await bob.hello("bob", invite=made.code)
            await alice.call(Revoke(invitation=made.invitation.id))
            async with Peer.connect(closed.url) as carol:
                code = await refusal(carol, hello("carol", invite=made.code))
                assert code == "invitation_invalid"
            await bob.settle()
            assert await refusal(alice, Revoke(invitation=999)) == "no_such_invitation"

    async def test_an_invitation_for_one_use_admits_one_of_a_hundred_claims(
        self, closed: ChatServer
    ) -> None:
        async def claim(number: int, code: str) -> bool:
            async with Peer.connect(closed.url) as peer:
                await peer.post(hello(f"bob{number}", invite=code))
                await peer.until(lambda: bool(peer.frames), "an answer")
                return not isinstance(peer.frames[0], ErrorFrame)

        async with self.operator(closed) as alice:
            made = await alice.call(CreateInvitation(), InvitationFrame)
            claims = await asyncio.gather(*(claim(number, made.code) for number in range(100)))
            assert sum(claims) == 1

    async def test_a_claim_survives_a_kill_between_commit_and_answer(
        self, closed: ChatServer
    ) -> None:
        async with self.operator(closed) as alice:
            made = await alice.call(CreateInvitation(uses=3), InvitationFrame)
        for number in range(3):
            claim = hello(f"bob{number}", secrets.token_urlsafe(32), invite=made.code)
            async with Peer.connect(closed.url) as peer:
                await peer.post(claim)
                await asyncio.sleep(0.005 * number)  # before, in and after the commit
                await asyncio.to_thread(closed.restart, kill=True)
            async with Peer.connect(closed.url) as again:
                await again.call(claim, Welcome)
        listed = await asyncio.to_thread(closed.administer, "invite", "list")
        assert " 3/3 " in listed.stdout

    @pytest.mark.feature("server.registration")
    async def test_a_closed_server_accepts_only_accounts_of_the_operator(
        self, start_server: Callable[..., ChatServer]
    ) -> None:
        server = start_server("--registration", "closed", "--reserved-names", "root")
        done = await asyncio.to_thread(server.administer, "user", "add", "bob")
        async with Peer.connect(server.url) as bob, Peer.connect(server.url) as eve:
            error = await eve.call(hello("eve"), ErrorFrame)
            assert (error.code, error.field) == ("registration_closed", "link")
            assert "ask its operator to add you (`chat-server user add eve`)" in error.message
            welcome = await bob.hello("bob", link=done.stdout.strip())
            assert [each.channel for each in welcome.channels] == ["#general"]


@pytest.mark.parametrize("name", ["admin", "System", "deleted-17", "root"])
async def test_a_reserved_name_cannot_be_taken(
    start_server: Callable[..., ChatServer], name: str
) -> None:
    server = start_server("--reserved-names", "root,toor")
    async with Peer.connect(server.url) as peer:
        error = await peer.call(hello(name), ErrorFrame)
        assert error.code == "name_unavailable"
        assert "choose another" in error.message


async def test_invited_people_do_not_count_as_sign_ups_of_their_address(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--exempt-address", "192.0.2.0/24", "--sign-ups", "1")
    async with admin(server, "alice") as alice:
        made = await alice.call(CreateInvitation(uses=3), InvitationFrame)
        async with Peer.connect(server.url) as eve:
            assert await refusal(eve, hello("eve")) == "rate_limited"
        for number in range(3):
            async with Peer.connect(server.url) as bob:
                await bob.hello(f"bob{number}", invite=made.code)
