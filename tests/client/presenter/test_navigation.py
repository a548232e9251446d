"""The list of all channels, the order of unread messages, and the history of visits."""

from __future__ import annotations

from typing import Any

import pytest

from chat.client.model.membership import FollowedThread
from chat.client.model.state import ChannelInfo, Link
from chat.client.presenter.navigation import (
    Entry,
    Group,
    Location,
    Tour,
    Trail,
    entries,
    neighbor,
    waits,
    weight,
)
from tests.client.presenter.fakes import info


def listed(*channels: ChannelInfo, server: int = 1) -> list[Entry]:
    return entries([Group(server, "test", Link.ONLINE, channels)])


def test_the_channels_of_all_servers_are_one_list() -> None:
    both = listed(info("#a"), info("#general")) + listed(info("#general"), server=2)
    assert neighbor(both, Location(1, "#general"), 1) == (2, "#general")
    assert neighbor(both, Location(2, "#general"), 1) == (1, "#a")
    assert neighbor(both, Location(1, "#a"), -1) == (2, "#general")
    assert neighbor(both, Location(2, "#gone"), -1) == (1, "#a")
    assert neighbor([], Location(1, "#a"), 1) is None


@pytest.mark.feature("reading.tour")
def test_a_tour_visits_unread_channels_by_urgency_and_returns() -> None:
    unread = {
        Location(1, "#a"): info("#a", unread=5),
        Location(1, "#general"): info("#general"),
        Location(1, "@alice,me"): info("@alice,me", unread=1),
        Location(2, "#a"): info("#a", unread=1, mentions=1),
    }
    tour, here, visited = Tour(), Location(1, "#general"), []
    while location := tour.next([Entry(*item) for item in unread.items()], here):
        visited.append(location)
        here, unread[location] = location, info(location.channel)
    assert visited == [(2, "#a"), (1, "@alice,me"), (1, "#a"), (1, "#general")]


def test_going_elsewhere_ends_the_tour() -> None:
    tour = Tour()
    assert tour.next(listed(info("#a", unread=5), info("#b")), Location(1, "#b")) == (1, "#a")
    tour.end()
    assert tour.next(listed(info("#a"), info("#b")), Location(1, "#a")) is None


def test_a_new_location_drops_the_forward_history() -> None:
    a, b, c, d = Location(1, "a"), Location(2, "a"), Location(1, "c"), Location(1, "d")
    trail, known = Trail(), {a, b, c, d}
    for stop in (a, b, c):
        trail.came_to(stop)
    assert [trail.step(-1, known), trail.step(-1, known), trail.step(-1, known)] == [b, a, None]
    assert trail.step(1, known) == b
    trail.came_to(d)
    assert trail.step(1, known) is None
    assert trail.step(-1, known - {b}) == a


@pytest.mark.parametrize(
    ("fields", "is_waiting", "urgency"),
    [
        ({"threads": (FollowedThread(1, unread=1),)}, True, 1),
        ({"threads": (FollowedThread(1, unread=1),), "muted": True}, False, 1),
        ({"threads": (FollowedThread(1, unread=1, mentions=1),), "muted": True}, True, 2),
        ({"threads": ()}, False, 0),
    ],
)
def test_unread_replies_in_followed_threads_need_attention(
    fields: dict[str, Any], is_waiting: bool, urgency: int
) -> None:
    channel = info("#a", **fields)
    assert (waits(channel), weight(channel)) == (is_waiting, urgency)
