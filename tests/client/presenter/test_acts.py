"""What the user may do with a message, and why they may not write."""

from __future__ import annotations

from typing import Any

import pytest

from chat.client.model.describe import ending
from chat.client.model.membership import Mute
from chat.client.model.state import (
    ChannelsChanged,
    ConnectionChanged,
    IgnoredChanged,
    Link,
    MembershipEnded,
    Message,
)
from chat.client.presenter.acts import invitation_acts, message_acts, why_silent
from chat.client.presenter.state import ConversationState
from chat.rights import ChannelSettings
from tests.client.presenter.fakes import info, said

NOW = 1_000_000
ARCHIVED, ANNOUNCEMENTS = ChannelSettings(archived=True), ChannelSettings(posting="moderators")


def state_in(*, has_rooms: bool = True, **fields: Any) -> ConversationState:
    """Return the state of `me` in #tea, with these fields."""
    state = ConversationState("me", now=lambda: NOW)
    state.apply(ConnectionChanged(Link.ONLINE, user="me", has_rooms=has_rooms))
    state.apply(ChannelsChanged((info("#tea", **fields),)))
    state.move_to("#tea")
    return state


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"mute": Mute("olga", NOW)}, ""),
        ({"mute": Mute("olga", None, "spam")}, "You were muted in #tea by olga: spam."),
        ({"mute": Mute("olga")}, "You were muted in #tea by olga."),
        ({"mute": Mute("olga"), "role": "owner"}, ""),
        ({"settings": ARCHIVED, "role": "owner"}, "#tea is archived: it is read-only."),
        ({"settings": ANNOUNCEMENTS}, "Only moderators can write in #tea."),
        ({"settings": ANNOUNCEMENTS, "role": "moderator"}, ""),
        ({"settings": ANNOUNCEMENTS, "has_rooms": False}, ""),
        ({"is_member": False}, ""),
    ],
)
def test_the_reason_why_the_user_may_not_write(fields: dict[str, Any], reason: str) -> None:
    assert why_silent(state_in(**fields), "#tea") == reason


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (
            MembershipEnded("#tea", "kick", "olga", reason="spam"),
            "You were removed from #tea by olga: spam.",
        ),
        (MembershipEnded("#tea", "ban", "olga"), "You were banned from #tea by olga."),
        (MembershipEnded("#tea", "deleted", "olga"), "#tea was deleted by olga."),
    ],
)
def test_the_end_of_a_membership_stays_the_reason_until_the_user_joins_again(
    ended: MembershipEnded, sentence: str
) -> None:
    assert ending(ended, str) == sentence
    state = state_in(is_member=False)
    state.apply(ended)
    assert why_silent(state, "#tea") == sentence
    state.apply(ChannelsChanged((info("#tea"),)))
    assert why_silent(state, "#tea") == ""


def test_a_ban_says_until_when() -> None:
    sentence = ending(MembershipEnded("#tea", "ban", "olga", NOW, "spam"), lambda ts: f"<{ts}>")
    assert sentence == f"You were banned from #tea by olga until <{NOW}>: spam."


def keys(state: ConversationState, message: Message) -> list[str]:
    return [act.key for act in message_acts(state, message)]


def test_the_acts_on_a_message_follow_the_rights() -> None:
    mine, other = said(1, "me", "a", "#tea"), said(2, "bob", "b", "#tea")
    common = ["reply", "thread", "react", "pin", "copy", "follow"]
    assert keys(state_in(), mine) == [*common, "edit", "delete"]
    assert keys(state_in(), other) == common
    assert keys(state_in(role="moderator"), other) == [*common, "delete"]
    assert keys(state_in(followed=frozenset({2})), other)[-1] == "unfollow"
    assert keys(state_in(mute=Mute("olga")), mine) == ["thread", "copy", "follow", "delete"]
    assert keys(state_in(has_rooms=False), other) == common[:-1]
    assert keys(state_in(settings=ChannelSettings(pins="moderators")), other) == [
        *("reply", "thread", "react", "copy", "follow")
    ]


def test_a_message_of_an_ignored_user_can_only_be_shown() -> None:
    state = state_in()
    state.apply(IgnoredChanged(("Bob",)))
    message = said(2, "bob", "b", "#tea")
    assert keys(state, message) == ["show"]
    state.reveal("#tea", 2)
    assert keys(state, message)[0] == "reply"


def test_an_invitation_is_accepted_or_declined() -> None:
    assert [act.command for act in invitation_acts("#tea")] == ["/accept #tea", "/decline #tea"]
