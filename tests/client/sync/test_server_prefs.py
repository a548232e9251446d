"""Channel preferences: shown at once, sent to the server, and synced to all devices."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.model.preferences import NO_CHANGE, Preference, PreferenceChange
from chat.client.model.state import Link
from chat.client.storage.account import Account
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import Command, Join, Prefer
from chat.protocol.frames import ErrorFrame
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer

Open = Callable[..., Screen]


def asked(fake: FakeServer) -> list[Prefer]:
    return [command for command in fake.commands if isinstance(command, Prefer)]


def test_preferences_changed_offline_are_sent_together_after_a_restart(
    open_client: Open, fake: FakeServer
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.stop()
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    for wish in (
        PreferenceChange(pinned=3),
        PreferenceChange(muted=True),
        PreferenceChange(pinned=1),
    ):
        screen.core.prefer("#general", wish)
    screen.wait(lambda: screen.channels["#general"].pinned == 1)
    screen.stop()
    offline = open_client(fake.url)
    offline.wait(lambda: offline.channels["#general"].muted)
    fake.start()
    offline.wait(lambda: len(asked(fake)) > 0)
    (prefer,) = asked(fake)
    assert (prefer.pinned, prefer.muted, prefer.level) == (1, True, None)


def test_a_rejected_preference_is_reported_and_dropped(open_client: Open, fake: FakeServer) -> None:
    def refuse(command: Command) -> ErrorFrame | None:
        if isinstance(command, Prefer):
            code = ErrorCode.UNKNOWN_TYPE.value
            return ErrorFrame(code=code, message="not here", retryable=False)
        return None

    fake.intercept = refuse
    screen = open_client(fake.url)
    screen.open()
    screen.core.prefer("#general", PreferenceChange(muted=True))
    screen.wait(lambda: [notice.text for notice in screen.notices] == ["#general: not here"])
    screen.wait(lambda: not screen.channels["#general"].muted)


@pytest.mark.feature("reading.order")
def test_a_preference_changed_on_one_device_applies_to_all(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    laptop = open_client(server.url, "alice")
    laptop.open()
    for name in ("#aa", "#bb"):
        laptop.core.ask(Join(channel=name)).result(PATIENCE)
    shutil.copytree(tmp_path / "data-alice" / "tokens", tmp_path / "phone" / "tokens")
    phone = open_client(server.url, "alice", data=tmp_path / "phone")
    phone.wait(lambda: list(phone.channels) == ["#general", "#aa", "#bb"])
    laptop.core.prefer("#bb", PreferenceChange(pinned=1))
    phone.wait(lambda: list(phone.channels) == ["#bb", "#general", "#aa"])
    phone.core.prefer("#aa", PreferenceChange(level="none", muted=True))
    laptop.wait(lambda: laptop.channels["#aa"].muted)
    assert laptop.channels["#aa"].level == "none"
    assert list(laptop.channels) == ["#bb", "#general", "#aa"]


def test_preference_changes_merge_and_are_removed_by_field() -> None:
    wish = (
        PreferenceChange(muted=True)
        .merged_with(PreferenceChange(pinned=2))
        .merged_with(PreferenceChange(muted=False))
    )
    assert wish == PreferenceChange(pinned=2, muted=False)
    assert wish.apply_to(Preference(1, True, "all")) == Preference(2, False, "all")
    assert wish.without(PreferenceChange(pinned=2, muted=True)) == PreferenceChange(muted=False)
    assert not wish.without(wish)


@pytest.mark.parametrize("seed", range(10))
def test_preference_changes_of_two_clients_on_one_file_are_all_kept(
    seed: int, tmp_path: Path
) -> None:
    """Two clients change, confirm and save preferences in one file, in any order.

    Each field is changed by one client only, so its final value is known.
    """
    chance = random.Random(seed)
    server = Preference()
    last = [NO_CHANGE, NO_CHANGE]
    clients = [Account(tmp_path / "me", "me", changed=lambda: None, report=print) for _ in range(2)]
    channels = [client.ensure_channel("#general") for client in clients]

    def confirm(client: int) -> None:
        nonlocal server
        clients[client].reload_channel_changes()  # as before each command
        change = channels[client].preference_change
        server = change.apply_to(server)
        clients[client].preference_confirmed(channels[client], change)

    for _ in range(40):
        client = chance.randrange(2)
        if chance.random() < 0.4:
            wish = (
                PreferenceChange(muted=chance.random() < 0.5)
                if client
                else PreferenceChange(pinned=chance.randrange(4))
            )
            clients[client].change_preference(channels[client], wish)
            last[client] = wish
        elif chance.random() < 0.7:
            clients[client].flush()
        else:
            confirm(client)
    for each in clients:
        each.flush()
    for each in clients:
        each.reload_channel_changes()
    wanted = last[1].apply_to(last[0].apply_to(Preference()))
    for channel in channels:
        assert channel.preference_change.apply_to(server) == wanted, "what was wished last stands"
    confirm(0)
    clients[1].reload_channel_changes()
    assert (server, channels[1].preference_change) == (wanted, NO_CHANGE)
    for each in clients:
        each.close()


def test_the_core_notifies_by_the_rules_and_not_for_read_messages(
    open_client: Open, fake: FakeServer
) -> None:
    fake.say("bob", "before @alice", mentions=("alice",))
    screen = open_client(fake.url, keywords=("deploy",))
    screen.open()
    fake.say("bob", "nothing")
    fake.say("bob", "hi @alice", mentions=("alice",))
    fake.say("bob", "deploy now")
    fake.say("alice", "deploy, from my other device")
    screen.wait(lambda: [each.text for each in screen.called] == ["hi @alice", "deploy now"])
    screen.core.prefer("#general", PreferenceChange(level="all"))
    screen.wait(lambda: screen.channels["#general"].level == "all")
    fake.say("bob", "anything")
    screen.wait(lambda: [each.text for each in screen.called][2:] == ["anything"])
    fake.stop()
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    fake.say("bob", "while you were off", mentions=("alice",))
    fake.start()
    screen.wait(lambda: [each.text for each in screen.called][3:] == ["while you were off"])


@pytest.mark.feature("reading.hidden")
def test_a_hidden_direct_channel_is_removed_on_all_devices_until_its_next_message(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    alice, bob = open_client(server.url, "alice"), open_client(server.url, "bob")
    for screen in (alice, bob):
        screen.wait_online()
    other_device = tmp_path / "other-device"
    shutil.copytree(tmp_path / "data-bob" / "tokens", other_device / "tokens")
    phone = open_client(server.url, "bob", data=other_device)
    phone.wait_online()
    alice.core.ask(Join(channel="@alice,bob")).result(PATIENCE)
    alice.core.send("@alice,bob", "psst")
    for device in (bob, phone):
        device.wait(lambda device=device: "@alice,bob" in device.channels)  # type: ignore[misc]
        device.wait(lambda device=device: bool(device.called))  # type: ignore[misc]
        assert [call.text for call in device.called] == ["psst"]
    bob.core.ask(Prefer(channel="@alice,bob", hidden=True)).result(PATIENCE)
    for device in (bob, phone):
        device.wait(lambda device=device: "@alice,bob" not in device.channels)  # type: ignore[misc]
    alice.core.send("@alice,bob", "hello?")
    for device in (bob, phone):
        device.wait(lambda device=device: "@alice,bob" in device.channels)  # type: ignore[misc]
        device.open("@alice,bob")
        device.wait_texts("psst", "hello?", channel="@alice,bob")


def test_no_hide_command_is_sent_to_an_older_server(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.wait_online()
    with pytest.raises(CommandError, match="too old to hide"):
        screen.core.ask(Prefer(channel="@alice,me", hidden=True)).result(PATIENCE)
    assert asked(fake) == []
