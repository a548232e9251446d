"""The state: the result of updates, and the target of the next key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chat.client.model.state import (
    ChannelChanged,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Link,
    MembersChanged,
    TimelineChanged,
    TypingChanged,
)
from chat.client.presenter.state import ConversationState, title_of, why_not_connected
from tests.client.presenter.fakes import info, said


def desk_with(*channels: object) -> ConversationState:
    state = ConversationState("me")
    state.apply(ChannelsChanged(channels))  # type: ignore[arg-type]  # shorter tests
    state.move_to("#general")
    return state


def test_a_direct_channel_is_named_by_its_other_members() -> None:
    assert title_of(info("@alice,me")) == "@alice"
    assert title_of(info("@alice,bob,me")) == "@alice, bob"
    assert title_of(info("#tea")) == "#tea"


def test_names_begin_with_the_latest_authors_without_the_user() -> None:
    state = desk_with(info("#general"), info("@dora,me"))
    lines = (said(1, "bob", "x"), said(2, "carol", "x"), said(3, "me", "x"), said(4, "bob", "x"))
    state.log("#general").apply(TimelineChanged("#general", upserts=lines))
    rows = (("alice", "member", "online"), ("bob", "member", "online"), ("me", "owner", "online"))
    state.apply(MembersChanged("#general", rows, 3))
    assert state.names == ("bob", "carol", "alice", "dora")


def test_typing_indicators_are_cleared_without_a_connection() -> None:
    state = desk_with(info("#general"))
    state.apply(TypingChanged("#general", ("bob", "me")))
    assert list(state.typing) == ["bob"]
    state.apply(ConnectionChanged(Link.WAITING))
    assert list(state.typing) == []


def test_trouble_stays_while_a_new_attempt_is_under_way() -> None:
    now = 100.0
    state = ConversationState("me", clock=lambda: now)
    trouble = ConnectionChanged(Link.WAITING, "no route", retry_in=8.0)
    state.apply(trouble)
    now += 3.0
    shown = replace(trouble, detail="Not connected: no route.")
    assert (state.connection_problem, state.retry_in) == (shown, 5.0)
    state.apply(ConnectionChanged(Link.CONNECTING))
    assert (state.connection_problem, state.retry_in) == (shown, 0.0)
    state.apply(ConnectionChanged(Link.ONLINE))
    assert state.connection_problem is None


def test_a_refusal_is_gone_when_the_user_tries_again() -> None:
    state = ConversationState("me")
    state.apply(ConnectionChanged(Link.REFUSED, "an invitation is needed"))
    assert state.connection_problem is not None
    state.apply(ConnectionChanged(Link.CONNECTING))
    assert state.connection_problem is None


def test_a_ban_with_an_end_says_that_the_client_returns() -> None:
    banned = ConnectionChanged(Link.REFUSED, "alice has banned you until noon", retry_in=60.0)
    assert why_not_connected(banned) == (
        "Not connected: alice has banned you until noon. Reconnecting when the ban ends."
    )


@pytest.mark.parametrize(
    ("link", "detail", "shown"),
    [
        (Link.WAITING, "is it running?", "Not connected: is it running?"),
        (Link.WAITING, "failed (HTTP 502)", "Not connected: failed (HTTP 502)."),
        (
            Link.REFUSED,
            "alice has banned you",
            "Not connected: alice has banned you. Use /reconnect to try again.",
        ),
    ],
)
def test_a_lost_connection_says_what_helps_in_sentences(
    link: Link, detail: str, shown: str
) -> None:
    state = ConversationState("me")
    state.apply(ConnectionChanged(link, detail))
    assert state.connection_problem is not None
    assert state.connection_problem.detail == shown


def test_only_mentions_and_direct_messages_are_counted_as_addressed() -> None:
    state = desk_with(
        info("#a", unread=5), info("#b", unread=4, mentions=2), info("@alice,me", unread=3)
    )
    assert state.count_addressed() == 5


def test_channels_are_listed_starred_first_then_general_then_others_then_direct_ones() -> None:
    state = desk_with(
        info("@alice,me"), info("#Zoo"), info("#b", pinned=2), info("#general"), info("#tea")
    )
    assert list(state.channels) == ["#b", "#general", "#tea", "#Zoo", "@alice,me"]
    state.apply(ChannelChanged(info("#tea", pinned=1)))
    state.apply(ChannelChanged(info("#apple")))
    assert list(state.channels) == ["#tea", "#b", "#general", "#apple", "#Zoo", "@alice,me"]


def test_one_changed_or_removed_channel_leaves_the_others_as_they_are() -> None:
    state = desk_with(info("#general", unread=1), info("#tea"), info("#zoo"))
    state.apply(ChannelChanged(info("#tea", unread=3)))
    state.apply(ChannelRemoved("#zoo"))
    assert {each.name: each.unread for each in state.channels.values()} == {
        "#general": 1,
        "#tea": 3,
    }
