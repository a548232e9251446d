"""The switcher: its matches, and their order."""

from __future__ import annotations

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.model.state import ChannelInfo, ConnectionChanged, Link
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import Location
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.switcher import Switcher
from chat.client.presenter.workspace import Cores, Workspace
from chat.client.sync.core import Core
from chat.protocol.frames import ChannelListing
from tests.client.presenter.fakes import FakeCore, FakeView, info

CHANNELS = (
    info("#general"),
    info("#away-games"),
    info("#help"),
    info("#tea", unread=3),
    info("#ops", unread=1, mentions=1),
    info("@alice,me"),
)


def switcher(
    *channels: ChannelInfo,
    shown: tuple[str, ...] = (),
    begun: list[str] | None = None,
    directory: tuple[str, ...] = (),
) -> Switcher:
    """Return the switcher of a user in these channels who has viewed some of them.

    Args:
        directory: the server's channels, as far as they were read.
    """
    core, view = FakeCore(), FakeView()
    cores = Cores(ClientSettings(name="me"), lambda _: core)

    def converse(server_key: int, settings: ClientSettings, core: Core) -> Conversation:
        return Conversation(
            core,
            view,
            "me",
            server_key=server_key,
            workspace=workspace,
            notifier=Notifier(view, core),
            commands=HANDLERS,
        )

    workspace = Workspace(cores, converse)
    workspace.take()
    core.tell(ConnectionChanged(Link.ONLINE, user="me", server="test"))
    core.go_online(*channels)
    workspace.take_in()
    for channel in shown:
        workspace.open(Location(workspace.front.key, channel))
    workspace.front.conversation.lookup.directory |= {
        name: ChannelListing(channel=name, topic="", members=1) for name in directory
    }
    return Switcher(workspace, (begun if begun is not None else []).append, {"inbox": "Alt+I"})


def labels(found: Switcher, written: str) -> list[str]:
    return [choice.label for choice in found.find(written)]


@pytest.mark.feature("around.switcher")
def test_unread_channels_come_first_then_recent_ones_then_the_others() -> None:
    found = switcher(*CHANNELS, shown=("#help", "@alice,me", "#general"))
    assert labels(found, "")[:6] == ["#ops", "#tea", "@alice", "#help", "#away-games", "#general"]


def test_plain_letters_find_channels_before_commands() -> None:
    found = switcher(*CHANNELS)
    assert labels(found, "away")[:2] == ["#away-games", "/away"]
    assert labels(found, "help")[:2] == ["#help", "/help [COMMAND]"]


def test_a_command_comes_before_a_channel_that_merely_has_its_letters_in_order() -> None:
    found = switcher(info("#general"), info("#top-infra-chat"))
    assert labels(found, "topic") == ["/topic [TEXT]", "#top-infra-chat"]


def test_words_of_its_help_or_another_name_find_a_command() -> None:
    found = switcher(*CHANNELS)
    assert labels(found, "unread all") == ["/inbox"]
    assert "/join CHANNEL" in labels(found, "create")
    assert labels(found, "whisper")[0] == "/msg NAMES [TEXT]"
    assert labels(found, "/dm")[0] == "/msg NAMES [TEXT]"


@pytest.mark.parametrize(("sign", "rest"), [("#", "al"), ("@", "al"), ("/", "le")])
def test_a_leading_sign_limits_the_kind(sign: str, rest: str) -> None:
    found = labels(switcher(*CHANNELS), sign + rest)
    assert found
    assert all(label.startswith(sign) for label in found)


def test_a_command_is_listed_with_its_key() -> None:
    (inbox,) = switcher(*CHANNELS).find("/inbox")
    assert inbox.note.startswith("Alt+I  list unread")


def test_a_channel_that_is_not_listed_can_be_joined() -> None:
    found = switcher(*CHANNELS)
    assert labels(found, "#coffee") == ["#coffee"]
    assert labels(found, "coffee") == ["#coffee"]
    for written in ("#no!", "no!", "two words", "@coffee", "/coffee"):
        assert labels(found, written) == []


@pytest.mark.feature("around.switcher")
def test_channels_of_the_directory_are_found_by_prefix() -> None:
    found = switcher(*CHANNELS, directory=("#coffee", "#coffee-machine", "#help", "#decoffee"))
    assert labels(found, "#cof") == ["#coffee", "#coffee-machine"]
    assert labels(found, "help")[:2] == ["#help", "/help [COMMAND]"]
    assert [each.note for each in found.find("coffee")] == ["Enter to join · 1 member"] * 2
    assert labels(found, "@coffee") == []


def test_a_command_that_needs_more_words_is_begun() -> None:
    begun: list[str] = []
    found = switcher(*CHANNELS, begun=begun)
    found.choose("/topic")
    found.choose("/me")
    assert begun == ["/me "]
