"""Bans, disabled accounts, revoked devices and roles act at once, also on pending commands."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chat.errors import CloseCode
from chat.protocol.commands import (
    AccountCommand,
    Ban,
    CreateInvitation,
    CreateLink,
    Hello,
    History,
    Ping,
    ReadAudit,
    ResumeFrom,
    Send,
    SetPassword,
    Unban,
)
from chat.protocol.frames import (
    Account,
    ErrorFrame,
    InvitationFrame,
    LinkCode,
    Ok,
    Page,
    PresenceFrame,
)
from tests.serving import PATIENCE, ChatServer, ConnectionOver, Peer

FAST = ("--limits.rate", "100000", "--limits.burst", "100000")
PROXY = ("--trusted-proxy", "127.0.0.1", "--exempt-address", "127.0.0.0/8,203.0.113.0/24")
GOOD = "correct horse battery staple"


def behind(*hops: str) -> dict[str, Any]:
    """Return the options of a connection that a proxy forwards."""
    return {"additional_headers": {"X-Forwarded-For": ", ".join(hops)}}


@asynccontextmanager
async def admin(server: ChatServer, name: str = "alice", **options: Any) -> AsyncIterator[Peer]:
    """Sign in with a new name, and make it an admin."""
    async with Peer.signed_in(server.url, name, **options) as peer:
        await administer(server, "user", "role", name, "admin")
        await peer.next(Account, lambda notice: notice.account.role == "admin")
        yield peer


async def administer(server: ChatServer, *arguments: str) -> str:
    """Run an operator's command beside the server; return what it printed."""
    done = await asyncio.to_thread(server.administer, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def ended_with(peer: Peer, code: CloseCode, error: str) -> None:
    """Check that the session ends with `code`, after an error with the reason."""
    assert await peer.close_code() == code
    assert error in [each.code for each in peer.kept(ErrorFrame)]


class TestCommandLine:
    async def test_disabling_ends_sessions_within_a_second(self, server: ChatServer) -> None:
        async with Peer.signed_in(server.url, "bob") as bob:
            await administer(server, "user", "disable", "bob")
            await ended_with(bob, CloseCode.DISABLED, "disabled")

    async def test_revoking_a_device_ends_its_sessions_only(self, server: ChatServer) -> None:
        async with Peer.signed_in(server.url, "bob") as bob, Peer.connect(server.url) as phone:
            code = (await administer(server, "link", "bob")).strip()
            await phone.hello("bob", link=code, device="phone")
            notice = await bob.next(Account)
            assert notice.device is not None
            await administer(server, "user", "revoke", "bob", str(notice.device.id))
            await ended_with(phone, CloseCode.REVOKED, "revoked")
            await bob.say("still here")

    async def test_all_sessions_are_notified_of_a_removed_password(
        self, server: ChatServer
    ) -> None:
        async with Peer.signed_in(server.url, "bob") as bob, Peer.connect(server.url) as phone:
            code = (await administer(server, "link", "bob")).strip()
            await phone.hello("bob", link=code, device="phone")
            await bob.next(Account)  # the new device
            await phone.call(SetPassword(password=GOOD))
            assert (await bob.next(Account)).password_changed
            assert not (await phone.next(Account)).password_changed
            await administer(server, "user", "password", "bob", "--remove")
            for peer in (bob, phone):
                notice = await peer.next(Account)
                assert notice.password_changed
                assert not notice.account.has_password
        assert "password_removed" in await administer(server, "audit", "--limit", "1")

    async def test_a_ban_ends_sessions_and_is_lifted(self, server: ChatServer) -> None:
        async with Peer.signed_in(server.url, "bob") as bob:
            await administer(server, "ban", "bob", "--for", "2h", "--reason", "spam")
            await ended_with(bob, CloseCode.BANNED, "banned")
        await administer(server, "unban", "bob")
        async with Peer.signed_in(server.url, "bob", bob.token):
            pass

    async def test_other_devices_are_notified_of_a_new_token(self, server: ChatServer) -> None:
        async with Peer.signed_in(server.url, "bob") as bob:
            await administer(server, "token", "bob", "--label", "robot")
            notice = await bob.next(Account)
            assert notice.device is not None
            assert notice.device.label == "robot"

    async def test_commands_in_a_loop_do_not_slow_others_down(
        self, start_server: Callable[..., ChatServer]
    ) -> None:
        server = start_server(*FAST)
        async with Peer.signed_in(server.url, "bob"):
            pass

        async def operate() -> None:
            for _ in range(10):
                await administer(server, "ban", "bob")
                await administer(server, "user", "list")
                await administer(server, "unban", "bob")

        async with Peer.signed_in(server.url, "alice") as alice:
            operating = asyncio.create_task(operate())
            sent = 0
            while not operating.done():
                await alice.say(f"message {sent}")
                sent += 1
            await operating
            page = await alice.call(History(channel="#general", limit=200), Page)
            last = [item.text for item in page.items if item.text][-1]
            assert last == f"message {sent - 1}"


class TestAtOnce:
    async def test_a_ban_acts_in_the_middle_of_a_queue_of_commands(
        self, start_server: Callable[..., ChatServer]
    ) -> None:
        server = start_server(*FAST)
        async with admin(server) as alice, Peer.signed_in(server.url, "bob") as bob:

            async def flood() -> None:
                with suppress(ConnectionClosed):
                    for number in range(20_000):
                        await bob.post(Send(channel="#general", text=f"{number}"))

            flooding = asyncio.create_task(flood())
            await bob.next(Ok)
            await alice.call(Ban(name="bob"))
            page = await alice.call(History(channel="#general", limit=1), Page)
            await flooding
            await ended_with(bob, CloseCode.BANNED, "banned")
            await alice.settle()
            after = await alice.call(History(channel="#general", limit=1), Page)
            assert after.head == page.head < 20_000

    async def test_a_resume_does_not_bring_a_banned_person_back(self, server: ChatServer) -> None:
        async with admin(server) as alice, Peer.signed_in(server.url, "bob") as bob:
            joined = await bob.join("#general")
            await alice.call(Ban(name="bob"))
            await ended_with(bob, CloseCode.BANNED, "banned")
            await alice.say("not for bob")
            resume = {"#general": ResumeFrom(epoch=joined.epoch, after=joined.head)}
            async with Peer.connect(server.url) as again:
                hello = Hello(v=1, name="bob", token=bob.token, resume=resume)
                assert (await again.call(hello, ErrorFrame)).code == "banned"
                assert await again.close_code() == CloseCode.BANNED
                assert len(again.received) == 1

    async def test_a_role_removed_between_two_commands_is_no_longer_used(
        self, server: ChatServer
    ) -> None:
        async with admin(server) as alice, admin(server, "bob") as bob:
            await alice.call(AccountCommand(name="bob", role="member"), Account)
            for command in (Ban(name="alice"), CreateInvitation(), ReadAudit()):
                assert (await bob.call(command, ErrorFrame)).code == "forbidden"

    async def test_two_admins_who_demote_each_other_leave_one(self, server: ChatServer) -> None:
        async with admin(server) as alice, admin(server, "bob") as bob:
            pairs = ((alice, "bob"), (bob, "alice"))
            ids = [
                await peer.post(AccountCommand(name=name, role="member")) for peer, name in pairs
            ]
            for (peer, _), command_id in zip(pairs, ids, strict=True):
                await peer.until(
                    lambda peer=peer, wanted=command_id: any(  # type: ignore[misc]
                        getattr(each, "id", None) == wanted for each in peer.received
                    ),
                    "an answer",
                )
        listed = await administer(server, "user", "list")
        assert sum(" admin " in line for line in listed.splitlines()) == 1

    async def test_admins_demoted_from_two_sides_at_once_leave_one(
        self, server: ChatServer
    ) -> None:
        async with admin(server) as alice, admin(server, "bob"):
            demoting = asyncio.gather(
                asyncio.to_thread(server.administer_apart, "user", "role", "alice", "member"),
                asyncio.to_thread(server.administer_apart, "user", "disable", "alice"),
            )
            command_id = await alice.post(AccountCommand(name="bob", role="member"))
            await demoting
            with suppress(ConnectionOver):
                await alice.until(
                    lambda: any(getattr(each, "id", None) == command_id for each in alice.received),
                    "an answer",
                )
        listed = await administer(server, "user", "list")
        assert sum(" admin " in line and " active " in line for line in listed.splitlines()) == 1

    async def test_the_last_admin_stays(self, server: ChatServer) -> None:
        async with admin(server) as alice:
            for fields in ({"role": "member"}, {"disabled": True}):
                command = AccountCommand(name="alice", **fields)
                assert (await alice.call(command, ErrorFrame)).code == "last_admin"
            error = await alice.call(Ban(name="alice", force=True), ErrorFrame)
            assert error.code == "last_admin"
            for arguments in (("role", "alice", "member"), ("disable", "alice")):
                refused = await asyncio.to_thread(server.administer, "user", *arguments)
                assert refused.returncode == 1
                assert "last admin" in refused.stderr

    async def test_administration_and_sign_ins_are_unavailable_while_the_disk_fails(
        self, start_server: Callable[..., ChatServer]
    ) -> None:
        server = start_server("--hello-timeout", "300")  # the commands before it wait for the disk
        async with AsyncExitStack() as stack:
            alice = await stack.enter_async_context(admin(server))
            bob = await stack.enter_async_context(Peer.signed_in(server.url, "bob"))
            eve = await stack.enter_async_context(Peer.connect(server.url))
            with closing(sqlite3.connect(server.data / "chat.db", isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE").close()
                for peer, command in (
                    (alice, Ban(name="bob")),
                    (alice, CreateLink()),
                    (eve, Hello(v=1, name="eve")),
                    (eve, Hello(v=1, name="bob", token=bob.token)),
                ):
                    assert (await peer.call(command, ErrorFrame)).code == "unavailable"
                db.execute("ROLLBACK").close()
            await alice.call(Ban(name="bob"))
            await ended_with(bob, CloseCode.BANNED, "banned")


class TestNetworks:
    @pytest.fixture
    def proxied(self, start_server: Callable[..., ChatServer]) -> ChatServer:
        return start_server(*PROXY, *FAST)

    async def test_a_ban_of_a_network_ends_its_sessions_and_no_others(
        self, proxied: ChatServer
    ) -> None:
        near, same, far = behind("203.0.113.7"), behind("203.0.113.9"), behind("198.51.100.1")
        async with (
            admin(proxied, **far) as alice,
            Peer.signed_in(proxied.url, "bob", **near) as bob,
            Peer.connect(proxied.url, **same) as guest,
        ):
            await alice.call(Ban(address="203.0.113.0/24", reason="spam"))
            for peer in (bob, guest):
                await ended_with(peer, CloseCode.BANNED, "banned")
            for options in (near, same):
                async with Peer.connect(proxied.url, **options) as again:
                    assert await again.close_code() == CloseCode.BANNED
                    assert "spam" in (again.socket.close_reason or "")
            async with Peer.signed_in(proxied.url, "bob", bob.token, **far):
                pass
            await alice.call(Unban(address="203.0.113.0/24"))
            async with Peer.signed_in(proxied.url, "bob", bob.token, **near):
                pass

    @pytest.mark.parametrize("path", ["/echo", "/counter"])
    async def test_a_ban_also_closes_the_raw_endpoints(
        self, proxied: ChatServer, path: str
    ) -> None:
        options = {"proxy": None, **behind("203.0.113.7")}
        async with connect(proxied.url + path, **options) as socket:
            await administer(proxied, "ban", "203.0.113.0/24", "--reason", "spam")
            async with asyncio.timeout(PATIENCE):
                await socket.wait_closed()
            assert socket.close_code == CloseCode.BANNED
            assert "spam" in (socket.close_reason or "")

    async def test_a_ban_holds_after_a_restart(self, proxied: ChatServer) -> None:
        await administer(proxied, "ban", "203.0.113.7")
        proxied.restart()
        async with Peer.connect(proxied.url, **behind("203.0.113.7")) as peer:
            assert await peer.close_code() == CloseCode.BANNED
        async with Peer.signed_in(proxied.url, "bob", **behind("203.0.113.8")):
            pass

    async def test_a_forged_header_has_no_effect(self, proxied: ChatServer) -> None:
        await administer(proxied, "ban", "203.0.113.7")
        lie = behind("198.51.100.1", "203.0.113.7", "127.0.0.1")  # the proxy appends the address
        async with Peer.connect(proxied.url, **lie) as peer:
            assert await peer.close_code() == CloseCode.BANNED

    async def test_without_a_declared_proxy_the_header_is_ignored(self, server: ChatServer) -> None:
        await administer(server, "ban", "203.0.113.7")
        async with Peer.signed_in(server.url, "bob", **behind("203.0.113.7")):
            pass
        await administer(server, "ban", "127.0.0.2", "--force")
        elsewhere: dict[str, Any] = {"local_addr": ("127.0.0.2", 0), **behind("198.51.100.1")}
        async with Peer.connect(server.url, **elsewhere) as peer:
            assert await peer.close_code() == CloseCode.BANNED

    async def test_no_sign_in_survives_a_concurrent_ban(self, proxied: ChatServer) -> None:
        async def sign_in(number: int) -> int | None:
            async with Peer.connect(proxied.url, **behind(f"203.0.113.{number}")) as peer:
                with suppress(ConnectionClosed):  # the handshake was refused
                    await peer.post(Hello(v=1, name=f"bob{number}"))
                return await peer.close_code()

        async with admin(proxied) as alice:
            signing_in = [asyncio.create_task(sign_in(number)) for number in range(1, 60)]
            await asyncio.sleep(0.05)  # any moment of the sign-ins
            await alice.call(Ban(address="203.0.113.0/24"))
            assert set(await asyncio.gather(*signing_in)) == {CloseCode.BANNED}


async def test_no_secret_is_written_anywhere(
    start_server: Callable[..., ChatServer], capfd: pytest.CaptureFixture[str]
) -> None:
    server = start_server("--log-level", "debug")
    secret = secrets.token_urlsafe(32)
    password, wrong, changed = f"pw-{secret}", f"wrong-{secret}", f"new-{secret}"
    async with admin(server) as alice, Peer.connect(server.url) as bob:
        link = await alice.call(CreateLink(), LinkCode)
        made = await alice.call(CreateInvitation(uses=2), InvitationFrame)
        token = secrets.token_urlsafe(32)
        await bob.hello("bob", token, invite=made.code, device="phone")
        await bob.call(SetPassword(password=password))
        await bob.call(SetPassword(password=changed, current=password))
        issued = (await administer(server, "token", "bob", "--label", "robot")).strip()
        codes = [
            (await administer(server, "invite", "create")).strip(),
            (await administer(server, "link", "bob")).strip(),
        ]
        attempts: tuple[dict[str, Any], ...] = (
            {"password": wrong},
            {"link": "AAAAA-AAAAA"},
            {"invite": codes[0].replace("-", "")[:-1]},
        )
        for fields in attempts:
            async with Peer.connect(server.url) as eve:
                await eve.call(Hello(v=1, name="bob", **fields), ErrorFrame)
        await alice.settle()
        written = [
            file.read_bytes() for file in server.data.iterdir()
        ]  # including the write-ahead log
        audit = await administer(server, "audit")
    server.stop()
    written += [file.read_bytes() for file in server.data.iterdir()]
    written += [server.text.encode(), audit.encode()]
    given = [password, wrong, changed, token, issued, alice.token, made.code, link.code, *codes]
    for each in given:
        for form in (each, each.replace("-", ""), each.lower()):
            assert not any(form.encode() in text for text in written), each
    assert "device_added" in audit
    assert "robot" in audit


async def test_a_changed_role_on_the_server_shows_in_general_at_once(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "bob") as bob:
        await bob.join("#general")
        async with admin(server):
            changed = await bob.next(PresenceFrame, lambda frame: bool(frame.roles))
            assert (changed.channel, changed.roles) == ("#general", {"alice": "owner"})
        await administer(server, "user", "role", "bob", "admin")
        await administer(server, "user", "role", "alice", "member")
        await bob.next(PresenceFrame, lambda frame: frame.roles == {"alice": "member"})


@pytest.mark.feature("server.passwords")
@pytest.mark.parametrize("addresses", [40, 200])
async def test_a_flood_of_wrong_passwords_does_not_delay_others(
    start_server: Callable[..., ChatServer], addresses: int
) -> None:
    server = start_server(*PROXY, *FAST)

    async def sign_in(address: str) -> float:
        async with Peer.connect(server.url, **behind(address)) as peer:
            since = time.monotonic()
            await peer.hello("alice", password=GOOD)
            return time.monotonic() - since

    async with AsyncExitStack() as stack:
        signed_in = Peer.signed_in(server.url, "alice", **behind("203.0.113.200"))
        alice = await stack.enter_async_context(signed_in)
        await alice.call(SetPassword(password=GOOD))
        alone = [await sign_in(f"198.51.100.{number}") for number in range(3)]
        flood = [
            await stack.enter_async_context(
                Peer.connect(server.url, **behind(f"192.0.2.{number + 1}"))
            )
            for number in range(addresses)
        ]
        for number in range(1_000):
            name = "alice" if number % 2 else f"name{number}"
            await flood[number % addresses].post(Hello(v=1, name=name, password="wrong password"))
        seconds: list[float] = []

        def checked() -> int:
            kept = [each for peer in flood for each in peer.kept(ErrorFrame)]
            return sum(each.code == "bad_password" for each in kept)

        async def checked_meanwhile() -> int:
            before = checked()
            await sign_in("203.0.113.201")
            return checked() - before

        signing_in = asyncio.create_task(checked_meanwhile())
        while not signing_in.done() or len(seconds) < 200:
            at = time.monotonic()
            await alice.call(Ping())
            seconds.append(time.monotonic() - at)
        waited_for = signing_in.result()
        answers = [each for peer in flood for each in peer.kept(ErrorFrame)]
        assert {each.code for each in answers} <= {"bad_password", "rate_limited"}
    alone += [await sign_in(f"198.51.100.{number}") for number in range(3, 6)]
    p99 = sorted(seconds)[int(len(seconds) * 0.99)]
    # Not in seconds: the machine may be busy.
    assert waited_for <= 8
    assert p99 < 4 * max(alone), (p99, alone)
