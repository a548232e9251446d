"""Accounts with a real server: invitations, devices, passwords, bans, and an erased user."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.client.model.membership import now_ms
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.state import Link
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import (
    Ban,
    CreateInvitation,
    CreateLink,
    ListDevices,
    ListUsers,
    ReadAudit,
    Revoke,
    SetPassword,
    Unban,
)
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer

Open = Callable[..., Screen]
PASSWORD = "correct-horse-battery"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[ChatServer]:
    """Return an invitation-only server."""
    with ChatServer(tmp_path / "server", "--registration", "invite") as server:
        yield server


def code_in(text: str) -> str:
    """Return the link code that an operator's command printed."""
    found = re.search(r"^[0-9A-Z]{5}-[0-9A-Z]{5}$", text, re.MULTILINE)
    assert found is not None, text
    return found[0]


def refused(screen: Screen, way: SignInWay) -> None:
    screen.wait(lambda: screen.connection.link is Link.REFUSED and way in screen.connection.ways)


def sign_in(screen: Screen, way: SignInWay, secret: str) -> None:
    refused(screen, way)
    screen.core.sign_in(screen.connection.user, Credential(way, secret)).result(PATIENCE)
    screen.wait_online()


@pytest.fixture
def admin(closed: ChatServer, open_client: Open) -> Screen:
    """Return the client of alice, whom the operator added and made an admin."""
    added = closed.administer("user", "add", "alice")
    assert closed.administer("user", "role", "alice", "admin").returncode == 0
    screen = open_client(closed.url)
    sign_in(screen, SignInWay.LINK, code_in(added.stdout))
    assert screen.connection.role == "admin"
    return screen


def invited(admin: Screen, open_client: Open, closed: ChatServer, name: str) -> Screen:
    """Return a client that signed in with an invitation of the admin."""
    invitation = admin.core.ask(CreateInvitation(channels=("#team",))).result(PATIENCE)
    screen = open_client(closed.url, name=name)
    sign_in(screen, SignInWay.INVITATION, invitation.code)
    return screen


def test_an_invited_person_signs_in_on_three_devices(
    closed: ChatServer, admin: Screen, open_client: Open, tmp_path: Path
) -> None:
    first = invited(admin, open_client, closed, "bob")
    first.wait(lambda: "#team" in first.channels)
    link = first.core.ask(CreateLink()).result(PATIENCE)
    second = open_client(closed.url, name="bob", data=tmp_path / "second", device="phone")
    sign_in(second, SignInWay.LINK, link.code)
    first.wait(lambda: any("phone" in notice.text for notice in first.notices))
    first.core.ask(SetPassword(password=PASSWORD)).result(PATIENCE)
    third = open_client(closed.url, name="bob", data=tmp_path / "third")
    refused(third, SignInWay.PASSWORD)
    wrong = Credential(SignInWay.PASSWORD, "not the password")
    third.core.sign_in("bob", wrong).result(PATIENCE)
    third.wait(lambda: "the password is wrong" in third.connection.detail)
    sign_in(third, SignInWay.PASSWORD, PASSWORD)
    devices = first.core.ask(ListDevices()).result(PATIENCE).devices
    assert len(devices) == 3
    (phone,) = [device for device in devices if device.label == "phone"]
    first.core.ask(Revoke(device=phone.id)).result(PATIENCE)
    second.wait(lambda: second.connection.link is Link.REFUSED)
    assert second.connection.ways == (SignInWay.LINK, SignInWay.PASSWORD)
    for screen in (first, second, third):
        screen.stop()
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        data = file.read_bytes()
        assert PASSWORD.encode() not in data, file
        assert link.code.encode() not in data, file


def test_a_client_returns_by_itself_when_its_ban_ends(
    closed: ChatServer, admin: Screen, open_client: Open
) -> None:
    bob = invited(admin, open_client, closed, "bob")
    until = now_ms() + 3_000
    admin.core.ask(Ban(name="bob", until=until)).result(PATIENCE)
    bob.wait(lambda: bob.connection.link is Link.REFUSED)
    assert bob.connection.retry_in is not None
    bob.wait_online()
    assert now_ms() >= until


def test_a_banned_person_keeps_the_typed_text_and_returns_after_the_ban(
    closed: ChatServer, admin: Screen, open_client: Open
) -> None:
    bob = invited(admin, open_client, closed, "bob")
    bob.open()
    admin.open()
    admin.core.ask(Ban(name="bob", reason="shouting")).result(PATIENCE)
    bob.wait(lambda: bob.connection.link is Link.REFUSED)
    assert "alice has banned you" in bob.connection.detail
    assert "shouting" in bob.connection.detail
    bob.core.send("#general", "kept meanwhile")
    bob.wait(lambda: bob.pending() == ["kept meanwhile"])
    bob.core.reconnect_now()
    bob.wait(lambda: len([each for each in bob.history if each.link is Link.REFUSED]) > 1)
    admin.core.ask(Unban(name="bob")).result(PATIENCE)
    bob.core.reconnect_now()
    bob.wait_online()
    admin.wait_texts("kept meanwhile")


def test_only_admins_may_administer(closed: ChatServer, admin: Screen, open_client: Open) -> None:
    bob = invited(admin, open_client, closed, "bob")
    for command in (ListUsers(), ReadAudit(), CreateInvitation(), Ban(name="alice")):
        with pytest.raises(CommandError) as error:
            bob.core.ask(command).result(PATIENCE)
        assert error.value.code is ErrorCode.FORBIDDEN
    acts = [entry.act for entry in admin.core.ask(ReadAudit()).result(PATIENCE).entries]
    assert "invitation_used" in acts


def test_an_erased_user_is_removed_from_the_clients_of_others(
    closed: ChatServer, admin: Screen, open_client: Open
) -> None:
    bob = invited(admin, open_client, closed, "bob")
    admin.open()
    bob.open()
    bob.core.send("#general", "the words of bob")
    admin.wait_texts("the words of bob")
    bob.stop()
    erased = closed.administer("user", "erase", "bob", "--yes")
    assert erased.returncode == 0, erased.stderr
    admin.wait(lambda: all("bob" not in line.author for line in admin.lines()))
    assert "the words of bob" not in admin.texts()
    admin.wait(lambda: "bob" not in [row[0] for row in admin.members["#general"].members])
