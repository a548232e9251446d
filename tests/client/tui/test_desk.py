"""The desk: what the updates add up to, and where the next key leads."""

from __future__ import annotations

import pytest

from chat.client.state import (
    ChannelsChanged,
    ConnectionChanged,
    Delivery,
    Link,
    MembersChanged,
    TimelineChanged,
    TypingChanged,
)
from chat.client.tui.desk import Desk, Recent, title_of
from tests.client.tui.fakes import info, said


def desk_with(*channels: object) -> Desk:
    desk = Desk("me")
    desk.apply(ChannelsChanged(channels))  # type: ignore[arg-type]  # shorter tests
    desk.move_to("#general")
    return desk


def test_a_direct_channel_is_known_by_the_others() -> None:
    assert title_of(info("@alice,me")) == "alice"
    assert title_of(info("@alice,bob,me")) == "alice, bob"
    assert title_of(info("#tea")) == "#tea"


def test_a_confirmed_message_takes_the_place_of_the_pending_one() -> None:
    recent = Recent()
    failed = said(None, "me", "hi", cid="c", delivery=Delivery.FAILED)
    recent.apply(TimelineChanged("#general", upserts=(failed,)))
    assert recent.failed() == [failed]
    recent.apply(TimelineChanged("#general", upserts=(said(3, "me", "hi", cid="c"),)))
    assert recent.failed() == []
    assert recent.latest("me") == said(3, "me", "hi", cid="c")


def test_a_discarded_message_and_what_a_reset_forgets_are_gone() -> None:
    recent = Recent()
    failed = said(None, "me", "hi", cid="c", delivery=Delivery.FAILED)
    recent.apply(TimelineChanged("#general", upserts=(failed, said(1, "bob", "yo"))))
    recent.apply(TimelineChanged("#general", removed=("c",)))
    assert recent.failed() == []
    recent.apply(TimelineChanged("#general", reset=True))
    assert recent.latest() is None


def test_the_latest_message_is_neither_deleted_nor_an_event() -> None:
    recent = Recent()
    lines = (
        said(1, "bob", "one"),
        said(2, "bob", "", erased=True),
        said(3, "carol", "", kind="join"),
    )
    recent.apply(TimelineChanged("#general", upserts=lines))
    assert recent.latest() == lines[0]


def test_only_the_newest_messages_are_kept() -> None:
    recent = Recent()
    for start in range(1, 2_000, 100):
        page = tuple(said(seq, "bob", "x") for seq in range(start, start + 100))
        recent.apply(TimelineChanged("#general", upserts=page))
    assert recent.find(1) is None
    assert recent.find(2_000) is not None


def test_names_begin_with_those_who_spoke_last_and_leave_oneself_out() -> None:
    desk = desk_with(info("#general"), info("@dora,me"))
    lines = (said(1, "bob", "x"), said(2, "carol", "x"), said(3, "me", "x"), said(4, "bob", "x"))
    desk.apply(TimelineChanged("#general", upserts=lines))
    rows = (("alice", "member", "online"), ("bob", "member", "online"), ("me", "owner", "online"))
    desk.apply(MembersChanged("#general", rows, 3))
    assert desk.names == ("bob", "carol", "alice", "dora")


def test_nobody_types_while_there_is_no_connection() -> None:
    desk = desk_with(info("#general"))
    desk.apply(TypingChanged("#general", ("bob", "me")))
    assert list(desk.typing) == ["bob"]
    desk.apply(ConnectionChanged(Link.WAITING))
    assert list(desk.typing) == []


def test_the_neighbours_of_a_channel_go_round() -> None:
    desk = desk_with(info("#a"), info("#general"), info("#z"))
    assert desk.neighbour(1) == "#z"
    assert desk.neighbour(2) == "#a"
    assert desk.neighbour(-2) == "#z"
    assert Desk().neighbour(1) is None


@pytest.mark.feature("reading.tour")
def test_a_tour_of_the_unread_goes_by_weight_and_ends_where_it_began() -> None:
    channels = {
        "#a": info("#a", unread=5),
        "#general": info("#general"),
        "#m": info("#m", unread=1, mentions=1),
        "@alice,me": info("@alice,me", unread=1),
    }
    desk = desk_with(*channels.values())
    visited = []
    while (channel := desk.where_it_matters()) is not None:
        visited.append(channel)
        channels[channel] = info(channel)
        desk.apply(ChannelsChanged(tuple(channels.values())))
        desk.move_to(channel, by_jump=True)
    assert visited == ["#m", "@alice,me", "#a", "#general"]


def test_moving_by_hand_ends_the_tour() -> None:
    desk = desk_with(info("#a", unread=5), info("#general"), info("#z"))
    assert desk.where_it_matters() == "#a"
    desk.move_to("#a", by_jump=True)
    desk.move_to("#z")
    desk.apply(ChannelsChanged((info("#a"), info("#general"), info("#z"))))
    assert desk.where_it_matters() is None


def test_mentions_and_direct_messages_want_an_answer_others_do_not() -> None:
    desk = desk_with(
        info("#a", unread=5), info("#b", unread=4, mentions=2), info("@alice,me", unread=3)
    )
    assert desk.to_answer() == 5
