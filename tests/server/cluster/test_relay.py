"""Delivery between servers on one database: nobody can tell to which one they are connected."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chat.broker.memory import MemoryBroker, MemoryHub
from chat.broker.nats import NatsBroker
from chat.broker.port import Broker
from chat.protocol.commands import Edit, Kick, Mark, Prefer, React, ResumeFrom, Send
from chat.protocol.frames import Bye, ErrorFrame, Joined, Preferences, Read, Removed
from chat.protocol.items import Event
from chat.server.app import App
from chat.server.cluster.relay import Timing
from chat.server.cluster.seals import Seal, Subjects
from chat.server.writes import commit
from chat.store.accounts import AddBan
from tests.broker.nats_server import NatsServer
from tests.server.cluster.one_process import FAST, LossyHub, cut_from_database, servers
from tests.serving import PATIENCE, Peer

OpenBroker = Callable[[], Broker]


@pytest.fixture(params=["reliable", "lossy", "silent", "nats"])
def open_broker(request: pytest.FixtureRequest) -> Iterator[OpenBroker]:
    """Open brokers that are connected more or less well; `silent` ones not at all."""
    match request.param:
        case "nats":
            with NatsServer() as server:
                yield lambda: NatsBroker([server.url])
        case "silent":
            yield MemoryBroker
        case "lossy":
            lossy = LossyHub(random.Random(18))
            yield lambda: MemoryBroker(lossy)
        case _:
            hub = MemoryHub()
            yield lambda: MemoryBroker(hub)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[App]]:
    """Two servers whose broker is reliable."""
    hub = MemoryHub()
    async with servers(tmp_path, 2, lambda: MemoryBroker(hub)) as running:
        yield running


def url(app: App) -> str:
    return app.addresses[0]


def seqs(peer: Peer, channel: str = "#general") -> list[int]:
    return [
        frame.seq
        for frame in peer.received
        if isinstance(frame, Event) and frame.channel == channel
    ]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_three_servers_carry_one_conversation(
    tmp_path: Path, open_broker: OpenBroker
) -> None:
    async with servers(tmp_path, 3, open_broker) as apps, AsyncExitStack() as stack:
        names = ("alice", "bob", "carol")
        peers = [
            await stack.enter_async_context(Peer.signed_in(url(app), name))
            for app, name in zip(apps, names, strict=True)
        ]
        for peer in peers:
            await peer.join("#room")
        for turn in range(4):
            for name, peer in zip(names, peers, strict=True):
                await peer.say(f"{name} {turn}", "#room")
        for peer in peers:
            expected = [f"{name} {turn}" for turn in range(4) for name in names]
            got = [(await peer.next_event("#room", "message")).text for _ in expected]
            assert got == expected


async def test_many_writers_on_one_channel_leave_no_gap_anywhere(
    tmp_path: Path, open_broker: OpenBroker
) -> None:
    count = 25
    async with servers(tmp_path, 3, open_broker) as apps, AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(Peer.signed_in(url(apps[n % 3]), f"user{n}"))
            for n in range(6)
        ]
        starts = [(await peer.join("#hot")).head for peer in peers]

        async def write(peer: Peer, number: int) -> int:
            last = 0
            for turn in range(count):
                last = (await peer.say(f"{number}.{turn}", "#hot")).seq or 0
                assert last in seqs(peer, "#hot")  # the event arrives before the `ok`
            return last

        head = max(await asyncio.gather(*(write(peer, n) for n, peer in enumerate(peers))))
        for peer, start in zip(peers, starts, strict=True):
            await peer.until(
                lambda peer=peer: head in seqs(peer, "#hot"),  # type: ignore[misc]
                "the last event",
            )
            assert seqs(peer, "#hot") == list(range(start + 1, head + 1))
        texts = [
            [(e.seq, e.text) for e in peer.kept(Event) if e.kind == "message"] for peer in peers
        ]
        assert all(each[-count:] == texts[0][-count:] for each in texts)


async def test_changes_of_messages_arrive_as_they_happened(pair: list[App]) -> None:
    one, two = pair
    async with Peer.signed_in(url(one), "alice") as alice, Peer.signed_in(url(two), "bob") as bob:
        await alice.join("#room")
        await bob.join("#room")
        sent = await alice.say("hi @bob", "#room")
        assert sent.seq is not None
        await alice.call(Edit(channel="#room", seq=sent.seq, text="hello @bob"))
        await bob.call(React(channel="#room", seq=sent.seq, emoji="👍"))
        for peer in (alice, bob):
            message = await peer.next_event("#room", "message")
            edit = await peer.next_event("#room", "edit")
            reaction = await peer.next_event("#room", "react")
            assert (message.text, message.mentions) == ("hi @bob", ("bob",))
            assert (edit.target, edit.text) == (sent.seq, "hello @bob")
            assert (reaction.author, reaction.emoji) == ("bob", "👍")


async def test_membership_changes_reach_sessions_on_other_servers(pair: list[App]) -> None:
    one, two = pair
    async with (
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(one), "bob") as phone,
        Peer.signed_in(url(two), "bob", phone.token) as laptop,
    ):
        await alice.join("#room")
        await phone.join("#room")
        assert (await laptop.next(Joined)).channel == "#room"  # not live there before
        await alice.say("one", "#room")
        assert (await laptop.next_event("#room", "message")).text == "one"
        await alice.call(Kick(channel="#room", name="bob", reason="enough"))
        for peer in (phone, laptop):
            removed = await peer.next(Removed)
            assert (removed.channel, removed.act, removed.reason) == ("#room", "kick", "enough")
        await alice.say("two", "#room")
        await laptop.settle()
        assert [e.text for e in laptop.kept(Event) if e.kind == "message"] == []


async def test_first_direct_message_reaches_another_server(pair: list[App]) -> None:
    one, two = pair
    async with Peer.signed_in(url(one), "alice") as alice, Peer.signed_in(url(two), "bob") as bob:
        for text in ("one", "two"):
            await alice.call(Send(channel="@alice,bob", text=text))
        joined = await bob.next(Joined)
        assert joined.channel == "@alice,bob"
        texts = [item.text for item in joined.items]
        while len(texts) < 2:
            texts.append((await bob.next_event("@alice,bob")).text)
        assert texts == ["one", "two"]


async def test_markers_and_preferences_reach_devices_on_other_servers(pair: list[App]) -> None:
    one, two = pair
    async with (
        Peer.signed_in(url(one), "alice") as phone,
        Peer.signed_in(url(two), "alice", phone.token) as laptop,
        Peer.signed_in(url(two), "bob") as bob,
    ):
        await phone.join("#room")
        await laptop.next(Joined)
        await bob.join("#room")
        sent = await bob.say("hi", "#room")
        assert sent.seq is not None
        await phone.next_event("#room", "message")
        await phone.call(Mark(channel="#room", seq=sent.seq))
        assert (await laptop.next(Read)).seq == sent.seq
        await laptop.call(Prefer(channel="#room", muted=True))
        assert (await phone.next(Preferences, lambda each: each.muted)).channel == "#room"
        for device in (phone, laptop):
            await device.settle()
        assert len(phone.kept(Read)) == 1
        assert len(laptop.kept(Preferences)) == 1


async def test_client_that_moves_to_a_server_that_lags_misses_nothing(tmp_path: Path) -> None:
    never = Timing(poll=3_600.0, confirm=FAST.confirm, patience=FAST.patience)
    async with (
        servers(tmp_path, 2, MemoryBroker, never) as (one, two),
        Peer.signed_in(url(two), "bob") as bob,
        Peer.signed_in(url(one), "alice") as alice,
    ):
        await bob.join("#room")
        epoch = (await alice.join("#room")).epoch
        last = 0
        for number in range(3):
            last = (await alice.say(str(number), "#room")).seq or 0
        assert [e.text for e in bob.kept(Event) if e.kind == "message"] == []
        # Bob's server has heard nothing: neither a hint nor a poll.
        async with Peer.connect(url(two)) as moved:
            position = ResumeFrom(epoch=epoch, after=last)
            await moved.hello("alice", alice.token, resume={"#room": position})
            again = await moved.next(Joined)
            assert (again.head, again.recovered, again.items) == (last, True, ())
            for number in range(3):
                assert (await bob.next_event("#room", "message")).text == str(number)


async def test_ban_on_one_server_ends_sessions_on_another_without_a_broker(
    tmp_path: Path,
) -> None:
    async with (
        servers(tmp_path, 2, MemoryBroker) as (one, two),
        Peer.signed_in(url(two), "bob") as bob,
    ):
        await commit(one.store, AddBan(None, "bob", None, None, "spam"))
        assert (await bob.next(ErrorFrame)).code == "banned"
        assert await bob.close_code() == 4501


async def test_messages_too_large_for_the_broker_arrive(tmp_path: Path) -> None:
    hub = MemoryHub()

    def small() -> Broker:
        broker = MemoryBroker(hub)
        broker.message_max = 600
        return broker

    never = Timing(poll=3_600.0, confirm=FAST.confirm, patience=FAST.patience)
    async with (
        servers(tmp_path, 2, small, never) as (one, two),
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(two), "bob") as bob,
    ):
        await alice.join("#room")
        await bob.join("#room")
        for text in ("x" * 1_000, "small"):
            await alice.say(text, "#room")
            assert (await bob.next_event("#room", "message")).text == text
        assert two.context.metrics.hints.values["numbers"] == 1


async def test_forged_and_foreign_hints_are_dropped(tmp_path: Path) -> None:
    hub = MemoryHub()
    async with (
        servers(tmp_path, 2, lambda: MemoryBroker(hub)) as (one, two),
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(two), "bob") as bob,
    ):
        await alice.join("#room")
        await bob.join("#room")
        heard: list[tuple[str, bytes]] = []
        publish = hub.publish

        def listen(subject: str, content: bytes) -> None:
            heard.append((subject, content))
            publish(subject, content)

        hub.publish = listen  # type: ignore[method-assign]
        first = await alice.say("real", "#room")
        assert first.seq is not None
        await bob.next_event("#room", "message")
        subject, content = next(each for each in heard if b"real" in each[1])
        forged = {"type": "event", "channel": "#room", "seq": first.seq + 1, "mid": "x"}
        event = {**forged, "ts": 1, "author": "alice", "kind": "message", "text": "forged"}
        fields = {"first": first.seq + 1, "last": first.seq + 1, "events": [event]}
        bad = [
            b"",
            b"\x01",
            b"\x02" + content[1:],
            content[:-3] + b"x" + content[-2:],
            b'{"first": 1}',
            Seal(b"another key").close(subject, fields),
            one.relay.seal.close("another.subject", fields) if one.relay else b"",
            b"\x01" + bytes(1_048_576),
        ]
        for each in bad:
            publish(subject, each)
        publish(subject, content)  # an old hint
        await alice.say("next", "#room")
        assert (await bob.next_event("#room", "message")).text == "next"
        counts = two.context.metrics.hints.values
        assert (counts["forged"], counts["foreign"]) == (len(bad) - 3, 3)
        assert counts["late"] >= 1


async def test_server_cut_from_the_database_sends_everybody_away(tmp_path: Path) -> None:
    hub = MemoryHub()
    timing = Timing(poll=0.2, confirm=0.1, patience=3.0)
    async with (
        servers(tmp_path, 2, lambda: MemoryBroker(hub), timing) as (one, two),
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(two), "bob") as bob,
    ):
        await alice.join("#room")
        await bob.join("#room")
        with cut_from_database(two):
            assert (await bob.next(Bye)).reconnect > 0
            assert await bob.close_code() == 1001
            assert two.health.refusal is not None
            await alice.say("missed", "#room")
            await alice.settle()
            assert not [e for e in bob.kept(Event) if e.text == "missed"]
        await until(lambda: two.health.refusal is None)
        async with Peer.signed_in(url(two), "bob", bob.token) as again:
            joined = await again.join("#room")
            assert joined.items[-1].text == "missed"
            await alice.say("live", "#room")
            assert (await again.next_event("#room", "message")).text == "live"


def test_server_that_is_alone_imports_nothing_for_several() -> None:
    code = (
        "import sys, chat.server.cli, chat.server.app\n"
        "print([name for name in sys.modules if name.startswith(('chat.server.cluster', "
        "'chat.broker.nats', 'chat.broker.memory', 'nats', 'psycopg', 'chat.store.postgresql'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_subjects_contain_no_names() -> None:
    subjects = Subjects("server")
    assert subjects.channel(7) == "chat.server.7"
    assert subjects.user(7) == "chat.server.user.7"
