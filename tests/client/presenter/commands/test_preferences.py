"""Channel preferences: starred channels first, muted channels silent."""

from __future__ import annotations

import pytest

from chat.client.model.preferences import PreferenceChange
from chat.client.model.state import ChannelInfo, ChannelsChanged, Link
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import Group, Location, PaneKey, Tour, entries
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.state import ConversationState
from chat.protocol.limits import PLACE_MAX
from tests.client.presenter.fakes import FakeCore, FakeView, FakeWorkspace, info

STARRED = (
    info("#ops", pinned=1),
    info("#general", pinned=2),
    info("@alice,me", pinned=3),
    info("#tea"),
    info("#echo", builtin=True),
)


def conversation(*channels: ChannelInfo) -> tuple[Conversation, FakeCore, FakeView]:
    core, view = FakeCore(), FakeView()
    made = Conversation(
        core,
        view,
        "me",
        server_key=1,
        workspace=FakeWorkspace(),
        notifier=Notifier(view, core),
        commands=HANDLERS,
    )
    core.go_online(*channels)
    made.take_in()
    made.open_channel("#general")
    return made, core, view


def test_starring_never_exceeds_the_highest_position() -> None:
    made, core, _view = conversation(info("#ops", pinned=PLACE_MAX), info("#general"))
    made.drafts.submit("/star", PaneKey("#general"))
    assert core.asked("prefer") == [("#general", PreferenceChange(pinned=PLACE_MAX))]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/star #tea", [("#tea", PreferenceChange(pinned=4))]),
        ("/star", []),
        ("/unstar", [("#general", PreferenceChange(pinned=0))]),
        (
            "/move up",
            [("#general", PreferenceChange(pinned=1)), ("#ops", PreferenceChange(pinned=2))],
        ),
        (
            "/move down",
            [("@alice,me", PreferenceChange(pinned=2)), ("#general", PreferenceChange(pinned=3))],
        ),
        ("/mute tea", [("#tea", PreferenceChange(muted=True))]),
        ("/unmute", [("#general", PreferenceChange(muted=False))]),
        ("/notify ALL", [("#general", PreferenceChange(level="all"))]),
        ("/notify", []),
    ],
)
def test_commands_change_preferences_in_the_core(
    text: str, asked: list[tuple[str, PreferenceChange]]
) -> None:
    made, core, view = conversation(*STARRED)
    made.drafts.submit(text, PaneKey("#general"))
    assert core.asked("prefer") == asked
    assert all(severity == "information" for _, severity in view.said)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/star #none", "You are not in #none."),
        ("/mute #echo", "#echo is a built-in channel"),
        ("/move left", "“left” is not a direction."),
        ("/notify sometimes", "“sometimes” is not a notification level."),
    ],
)
def test_invalid_preference_commands_are_explained(text: str, why: str) -> None:
    made, core, view = conversation(*STARRED)
    made.drafts.submit(text, PaneKey("#general"))
    assert view.said[0][0].startswith(why)
    assert not core.asked("prefer")


def test_only_starred_channels_have_a_place() -> None:
    made, core, view = conversation(info("#general"))
    made.drafts.submit("/move up", PaneKey("#general"))
    assert "Use /star first" in view.said[0][0]
    assert not core.asked("prefer")


def test_muted_channels_need_attention_only_for_mentions() -> None:
    muted = (
        info("#general"),
        info("#loud", unread=9, muted=True),
        info("@alice,me", unread=2, muted=True),
    )
    mentioned = info("#ops", unread=4, mentions=1, muted=True)
    for channels, to_answer, ways in ((muted, 0, None), ((*muted, mentioned), 1, "#ops")):
        state = ConversationState("me")
        state.apply(ChannelsChanged(channels))
        assert state.count_addressed() == to_answer
        listed = entries([Group(1, "home", Link.ONLINE, channels)])
        location = Tour().next(listed, Location(1, "#general"))
        assert (location.channel if location else None) == ways
