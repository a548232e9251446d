"""The account of the session: roles, new devices, and commands that a server does not have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.errors import CommandError
from chat.protocol.commands import ListDevices, SetPassword
from chat.protocol.frames import Account, AccountInfo, Device, Devices
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE

Open = Callable[..., Screen]
ME = AccountInfo(name="alice", created=1)


@pytest.fixture
def new_server(fake: FakeServer) -> FakeServer:
    fake.features = ("hidden", "accounts")
    return fake


def test_the_role_of_the_user_is_known_and_follows_changes(
    open_client: Open, new_server: FakeServer
) -> None:
    new_server.role = "admin"
    screen = open_client(new_server.url)
    screen.open()
    assert (screen.connection.role, screen.connection.has_accounts) == ("admin", True)
    new_server.tell(Account(account=ME))
    screen.wait(lambda: screen.connection.role == "member")
    assert [notice.text for notice in screen.notices] == ["Your role on this server is now member."]


def test_a_new_device_is_announced(open_client: Open, new_server: FakeServer) -> None:
    screen = open_client(new_server.url)
    screen.open()
    phone = Device(id=8, label="pho\x1bne", created=1)
    new_server.tell(Account(account=ME, device=phone))
    screen.wait(lambda: bool(screen.notices))
    assert screen.notices[0].severity == "warning"
    assert "A new device signed in as you: pho␛ne." in screen.notices[0].text


@pytest.mark.parametrize(
    ("has_password", "text"),
    [(True, "Your password was changed on another device."), (False, "Your password was removed")],
)
def test_a_password_changed_elsewhere_is_announced(
    open_client: Open, new_server: FakeServer, has_password: bool, text: str
) -> None:
    screen = open_client(new_server.url)
    screen.open()
    new_server.tell(Account(account=ME))
    account = ME.model_copy(update={"has_password": has_password})
    new_server.tell(Account(account=account, password_changed=True))
    screen.wait(lambda: bool(screen.notices))
    (notice,) = screen.notices
    assert notice.severity == "warning"
    assert notice.text.startswith(text)
    assert "If it was not you, use /devices" in notice.text


def test_answers_about_accounts_are_no_announcements(
    open_client: Open, new_server: FakeServer
) -> None:
    new_server.intercept = lambda command: (
        Devices(devices=()) if isinstance(command, ListDevices) else None
    )
    screen = open_client(new_server.url)
    screen.open()
    assert screen.core.ask(ListDevices()).result(PATIENCE).devices == ()
    new_server.tell(Account(id="9", account=ME))
    screen.core.settled().result(PATIENCE)
    assert not screen.notices


@pytest.mark.parametrize("command", [ListDevices(), SetPassword(password="never sent")])
def test_a_server_without_accounts_gets_none_of_their_commands(
    open_client: Open, fake: FakeServer, command: ListDevices | SetPassword
) -> None:
    screen = open_client(fake.url)
    screen.open()
    assert not screen.connection.has_accounts
    with pytest.raises(CommandError, match="This server is too old"):
        screen.core.ask(command).result(PATIENCE)
    assert fake.count(type(command)) == 0
