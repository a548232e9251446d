"""Resuming many channels: `hello` stays short, and no channel is missed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, islice

import pytest

from chat.protocol.codec import encode
from chat.protocol.commands import Hello, Join
from chat.protocol.values import Limits
from tests.client.fake_log import FakeLog
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen

Open = Callable[..., Screen]

NAMES = [f"somebody-with-a-long-name.{number:02}" for number in range(20)]
CHANNELS = ["@" + ",".join(("alice", *some)) for some in islice(combinations(NAMES, 15), 140)]


def make_a_member_of_many(fake: FakeServer) -> None:
    for channel in CHANNELS:
        fake.logs[channel] = FakeLog(channel)
        fake.members[channel] = {"alice"}
        fake.say("bob", "hello", channel)


def hellos(fake: FakeServer) -> list[Hello]:
    return [command for command in list(fake.commands) if isinstance(command, Hello)]


def unread(screen: Screen) -> set[int | None]:
    """Return the unread counts of the channels; None: one of them is not listed yet."""
    listed = map(screen.channels.get, CHANNELS)
    return {info.unread if info else None for info in listed}


@pytest.mark.parametrize("frame", [65_536, 8_192])
def test_hello_fits_into_a_frame_and_the_other_channels_are_joined(
    open_client: Open, fake: FakeServer, frame: int
) -> None:
    fake.limits = Limits(frame=frame, rate=1_000)
    make_a_member_of_many(fake)
    screen = open_client(fake.url)
    screen.wait(lambda: fake.count(Join) == len(CHANNELS) + 1)
    screen.wait(lambda: unread(screen) == {1})
    screen.open(CHANNELS[77])
    screen.stop()
    for channel in CHANNELS:
        fake.say("bob", "are you there?", channel)
    fake.commands.clear()
    screen = open_client(fake.url)
    screen.wait(lambda: unread(screen) == {2})
    screen.wait(lambda: len(hellos(fake)[0].resume or ()) + fake.count(Join) > len(CHANNELS))
    (hello,) = hellos(fake)
    assert hello.resume
    assert frame // 2 < len(encode(hello)) <= frame
    joins = {command.channel: command for command in fake.commands if isinstance(command, Join)}
    assert joins.keys() | hello.resume.keys() == {"#general", *CHANNELS}
    assert not joins.keys() & hello.resume.keys()
    assert all(command.resume is not None for command in joins.values())


def test_an_unanswered_hello_is_followed_by_a_short_one(
    open_client: Open, start_fake: Callable[..., FakeServer]
) -> None:
    fake = start_fake()
    fake.limits = Limits(rate=1_000)
    make_a_member_of_many(fake)
    screen = open_client(fake.url)
    screen.wait(lambda: all(name in screen.channels for name in CHANNELS))
    screen.wait(lambda: fake.count(Join) == len(CHANNELS) + 1)
    screen.stop()
    fake.stop()
    fake.frame_bytes = 8_192  # its operator has lowered the limit meanwhile
    fake.limits = Limits(frame=8_192)
    fake.commands.clear()
    fake.start()
    screen = open_client(fake.url)
    screen.wait_online()
    (hello,) = hellos(fake)
    assert hello.resume
    assert len(encode(hello)) <= 4_096
