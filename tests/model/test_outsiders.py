"""An outsider's frames do not depend on channels closed to them: byte for byte.

The same outsider does the same in two worlds. In one, two users have a direct channel and use it
all the time; in the other there is no such channel. All bytes that the outsider gets are equal,
except random values and times.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any, get_args

import pytest
from websockets.asyncio.client import ClientConnection, connect

from chat.protocol.codec import encode
from chat.protocol.commands import (
    BaseCommand,
    ChangeChannel,
    Channels,
    Command,
    Create,
    Delete,
    Edit,
    Follow,
    Hello,
    Invite,
    Join,
    Leave,
    ListBans,
    Mark,
    Pin,
    Ping,
    Prefer,
    React,
    ResumeFrom,
    Search,
    Send,
    SetStatus,
    Typing,
    Who,
)
from chat.protocol.frames import Joined
from tests.model.world import World
from tests.serving import Peer

NewWorld = Callable[[], World]

_RANDOM = re.compile(
    r'"(mid|epoch|session|token)":"[^"]*"|"ts":\d+|"server":\{"id":"[^"]*"|"retry_after":[^,}]*'
)
OPTIONS: dict[str, list[Any]] = {
    "seq": [1, 2, 99],
    "text": ["let me in"],
    "cid": [None, "new", "used"],
    "reply_to": [None, 1, 99],
    "me": [False],
    "emoji": ["+1"],
    "remove": [False, True],
    "before": [None, 2],
    "after": [None, 0, 1, 99],
    "around": [None, 2],
    "thread": [None, 2, 99],
    "limit": [50],
    "query": ["secret", "secr* -x"],
    "author": [None, "alice"],
    "has": [None, "link"],
    "state": ["start", "stop"],
    "cursor": [None, "a"],
    "topic": ["mine"],
    "pins": [False, True],
    "pinned": [None, 1],
    "muted": [None, True],
    "level": [None, "all"],
    "hidden": [None, False, True],
    "thread_only": [False, True],
    "private": [False, True],
    "retention": [None, 86_400],
    "posting": [None, "moderators"],
    "invites": [None],
    "name": ["alice", "nobody"],
    "address": [None],
    "until": [None, 9_000_000_000_000],
    "reason": ["", "spam"],
    "force": [False],
    "role": ["owner", "member"],
    "resume": [None, ResumeFrom(epoch="e", after=0), ResumeFrom(epoch="e", after=1, mid="m")],
}
"""Values to try for each field of a command; a new field needs a line."""
ELSEWHERE: dict[type[BaseCommand], dict[str, list[Any]]] = {
    ChangeChannel: {"topic": [None, "members"], "pins": [None]},
    Follow: {"thread": [2, 99]},
    ListBans: {"cursor": [None, 9]},
}
"""Values for fields that have another meaning in a command."""


def probes(channel: str) -> Iterator[BaseCommand]:
    """Yield every command that names a channel, with many combinations of fields."""
    union, _discriminator = get_args(Command)
    for kind in get_args(union):
        if "channel" not in kind.model_fields:
            continue
        fields = [name for name in kind.model_fields if name not in ("id", "type", "channel")]
        others = ELSEWHERE | {Search: {"cursor": [None, {channel: 9}]}}
        for values in product(*((OPTIONS | others.get(kind, {}))[field] for field in fields)):
            filled = dict(zip(fields, values, strict=True))
            if goes_together(filled):
                yield kind(channel=channel, **filled)
    yield from (Search(query="secret"), Search(author="alice"), Search(query="hi"))


def goes_together(filled: dict[str, Any]) -> bool:
    """Whether a command may have these fields together: a page has at most one anchor."""
    given = {
        each for each in ("before", "after", "around", "thread") if filled.get(each) is not None
    }
    if filled.get("thread_only") and filled.get("reply_to") is None:
        return False
    if filled.get("pins"):
        return given <= {"before"}
    return len(given - {"thread"}) < 2


class Outsider:
    """A session that keeps every received frame as text."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.lasting: list[str] = []
        self.ephemeral: list[str] = []
        self._ids = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, world: World) -> AsyncIterator[Outsider]:
        """Connect to a world, if it has several servers to another one than the members."""
        async with connect(world.url_of(2), compression=None, proxy=None) as socket:
            yield cls(socket)

    def forget(self) -> None:
        """Drop the received frames, and count the command ids from there on."""
        self.lasting.clear()
        self.ephemeral.clear()
        self._ids = 0

    async def ask(self, command: BaseCommand) -> dict[str, Any]:
        """Send a command, keep all frames up to its answer, and return the answer."""
        self._ids += 1
        asked = f"o{self._ids}"
        await self.socket.send(encode(command.model_copy(update={"id": asked})), text=True)
        return await self.wait_for("id", asked)

    async def wait_for(self, field: str, value: str) -> dict[str, Any]:
        """Keep all frames up to one with this field, and return it."""
        while True:
            raw = str(await self.socket.recv())
            frame: dict[str, Any] = json.loads(raw)
            is_ephemeral = frame["type"] in ("presence", "typing")
            (self.ephemeral if is_ephemeral else self.lasting).append(_RANDOM.sub("-", raw))
            if frame.get(field) == value:
                return frame


async def live(alice: Peer, bob: Peer, channel: str) -> None:
    """Use all features of a channel as two users."""
    seq = (await alice.say("the secret", channel)).seq
    assert seq is not None
    await bob.call(React(channel=channel, seq=seq, emoji="secret"))
    await bob.call(Pin(channel=channel, seq=seq))
    await bob.call(Typing(channel=channel))
    await alice.call(Edit(channel=channel, seq=seq, text="a better secret, @carol"))
    await bob.call(Mark(channel=channel, seq=seq))
    await bob.call(Prefer(channel=channel, pinned=1, muted=True, level="all"))
    await alice.call(Delete(channel=channel, seq=seq))
    await alice.call(Typing(channel=channel))


@asynccontextmanager
async def peopled(world: World) -> AsyncIterator[tuple[Peer, Peer, Outsider, str]]:
    """Run a world with two users and an outsider; yield the outsider's token as well."""
    await world.start()
    try:
        async with (
            Peer.signed_in(world.url, "alice") as alice,
            Peer.signed_in(world.url_of(1), "bob") as bob,
            Outsider.connected(world) as carol,
        ):
            for peer in (alice, bob):
                await peer.join("#general")
            await world.level()
            welcome = await carol.ask(Hello(v=1, name="carol"))
            await carol.ask(Send(channel="#general", text="hi", cid="used"))
            yield alice, bob, carol, welcome["token"]
    finally:
        await world.stop()


async def look_around(
    world: World, outsider: Outsider, token: str, channel: str, code: str = "no_such_channel"
) -> list[str]:
    """Return the frames of an outsider who explores the server, and reconnects with a position.

    `code` is the error of the resumed channel.
    """
    await world.level()
    await outsider.ask(Who(channel="#general"))
    async with Outsider.connected(world) as again:
        positions = {channel: ResumeFrom(epoch="e", after=0)}
        await again.ask(Hello(v=1, name="carol", token=token, resume=positions))
        await again.wait_for("code", code)
        await world.level()
        for session in world.sessions:
            session.heartbeat()
        for each in (again, outsider):
            await each.ask(Channels())
        ephemeral = [*outsider.ephemeral, *again.ephemeral]
        assert not [frame for frame in ephemeral if "#general" not in frame]
        return [*outsider.lasting, *again.lasting]


async def explored(world: World, channel: str, *, is_there: bool) -> list[str]:
    """Return the frames of an outsider who tries all commands on a direct channel."""
    async with peopled(world) as (alice, bob, carol, token):
        for number, probe in enumerate(probes(channel)):
            if is_there and number % 4 == 0:
                await live(alice, bob, channel)
            await carol.ask(probe)
        await alice.call(SetStatus(status="busy"))
        return await look_around(world, carol, token, channel)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["bob", "BOB"])
@pytest.mark.promise(
    7,
    fault="every command that names a channel, each in many ways, on a direct channel that others "
    "live in, on one that does not exist, and on one that cannot exist",
    result="the same bytes; welcome, heads, directory and members included",
)
async def test_existing_and_missing_direct_channels_look_alike_to_outsiders(
    new_deployment: NewWorld, name: str
) -> None:
    there = await explored(new_deployment(), f"@{name},alice", is_there=True)
    not_there = await explored(new_deployment(), f"@{name},alice", is_there=False)
    impossible = await explored(new_deployment(), "@Zed,alice", is_there=False)
    assert there == not_there
    assert there == [frame.replace("alice,Zed", f"alice,{name}") for frame in impossible]
    assert not [frame for frame in there if "secret" in frame]


async def left(world: World, *, was_member: bool) -> list[str]:
    """Return a user's frames about a channel that they left, or never joined."""
    async with peopled(world) as (alice, bob, carol, token):
        for peer in (alice, bob):
            await peer.join("#room")
        if was_member:
            await carol.ask(Join(channel="#room"))
            await live(alice, bob, "#room")
            await carol.ask(Leave(channel="#room"))
        await carol.ask(Ping())
        carol.forget()
        for number, probe in enumerate(probes("#room")):
            if number % 4 == 0:
                await live(alice, bob, "#room")
            if not isinstance(probe, Join | Create):
                await carol.ask(probe)
        return await look_around(world, carol, token, "#room", "not_a_member")


@pytest.mark.timeout(300)
@pytest.mark.promise(
    7,
    fault="a former member tries every command on the channel, while its members use it",
    result="the same bytes as for a user who was never a member",
)
async def test_former_members_get_the_same_answers_as_outsiders(new_deployment: NewWorld) -> None:
    former = await left(new_deployment(), was_member=True)
    assert former == await left(new_deployment(), was_member=False)
    assert not [frame for frame in former if "secret" in frame]


async def near_private(world: World, *, is_there: bool) -> list[str]:
    """Return the frames of an outsider who tries all commands on a private channel."""
    channel = "#private"
    async with peopled(world) as (alice, bob, carol, token):
        if is_there:
            await alice.call(Create(channel=channel, private=True, topic="secret"), Joined)
            await alice.call(Invite(channel=channel, name="bob"))
            await bob.join(channel)
        for number, probe in enumerate(probes(channel)):
            if is_there and number % 4 == 0:
                await live(alice, bob, channel)
            if not isinstance(probe, Join | Create):
                await carol.ask(probe)
        return await look_around(world, carol, token, channel)


@pytest.mark.timeout(300)
@pytest.mark.promise(
    7,
    fault="every command that names a channel, each in many ways, on a private channel that others "
    "live in, and on one that does not exist",
    result="the same bytes; welcome, heads, directory and members included",
)
async def test_existing_and_missing_private_channels_look_alike_to_outsiders(
    new_deployment: NewWorld,
) -> None:
    there = await near_private(new_deployment(), is_there=True)
    assert there == await near_private(new_deployment(), is_there=False)
    assert not [frame for frame in there if "secret" in frame.replace("secret*", "")]
