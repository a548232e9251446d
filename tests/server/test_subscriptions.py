"""Following: join, resume, catch up by pages, and attach without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.protocol.commands import History, Join, Kick, Leave, Mark, ResumeFrom, Send
from chat.protocol.frames import ErrorFrame, Heads, Joined, Page, Read, Removed
from chat.protocol.items import Event
from chat.server.app import App
from chat.server.config.settings import ServerSettings
from tests.held_store import HeldStore
from tests.serving import PATIENCE, ChatServer, Peer

Fresh = Callable[[str], str]


async def fill(peer: Peer, room: str, count: int) -> None:
    """Send `count` messages."""
    for number in range(count - 1):
        await peer.post(Send(channel=room, text=f"m{number}"))
    await peer.say(f"m{count - 1}", room)


async def test_joining_creates_the_channel_and_its_creator_owns_it(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        assert (await alice.join(room)).role == "owner"
        joined = await bob.join(room.upper())
        assert (joined.channel, joined.role, joined.complete) == (room, "member", True)
        assert [item.kind for item in joined.items] == ["join", "join"]
        assert {member.name: member.role for member in joined.members}.popitem()
        assert joined.member_count == 2


async def test_a_resume_continues_after_the_position_and_goes_live(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("bob")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        async with Peer.signed_in(shared.url, name) as bob:
            joined = await bob.join(room)
            token = bob.token
        await fill(alice, room, 5)
        position = ResumeFrom(epoch=joined.epoch, after=joined.head, mid=joined.items[-1].mid)
        async with Peer.connect(shared.url) as bob:
            await bob.hello(name, token, {room: position})
            back = await bob.next(Joined)
            assert back.recovered
            assert back.complete
            assert [item.seq for item in back.items] == list(range(joined.head + 1, back.head + 1))
            await alice.say("live", room)
            assert (await bob.next_event(room)).seq == back.head + 1


@pytest.mark.promise(
    3,
    fault="a long absence",
    result="read page by page to the head, then live, without a gap",
)
async def test_a_member_removed_while_away_is_told_by_whom_and_why(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name, owner = fresh("#room"), fresh("bob"), fresh("alice")
    async with Peer.signed_in(shared.url, owner) as alice:
        await alice.join(room)
        async with Peer.signed_in(shared.url, name) as bob:
            joined = await bob.join(room)
            token = bob.token
        position = ResumeFrom(epoch=joined.epoch, after=joined.head, mid=joined.items[-1].mid)
        await alice.call(Kick(channel=room, name=name, reason="spam"))
        async with Peer.connect(shared.url) as bob:
            await bob.hello(name, token, {room: position})
            removed = await bob.next(Removed)
            assert (removed.channel, removed.act, removed.by) == (room, "kick", owner)
            assert removed.reason == "spam"
            await bob.join(room)
            await bob.call(Leave(channel=room))
        async with Peer.connect(shared.url) as bob:
            await bob.hello(name, token, {room: position})
            assert (await bob.next(ErrorFrame)).code == "not_a_member", "bob left by himself"


async def test_long_absence_is_caught_up_page_by_page(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.page", "10", "--limits.burst", "1000")
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "bob") as bob,
    ):
        first = await alice.join("#room")
        await fill(alice, "#room", 35)
        position = ResumeFrom(epoch=first.epoch, after=0)
        await bob.join("#room")
        joined = await bob.call(Join(channel="#room", resume=position), Joined)
        assert joined.recovered
        assert not joined.complete
        seqs = [item.seq for item in joined.items]
        await alice.say("meanwhile", "#room")
        complete = False
        while not complete:
            page = await bob.call(History(channel="#room", after=seqs[-1], limit=10), Page)
            assert len(page.items) <= 10
            seqs += [item.seq for item in page.items]
            complete = page.complete
        await alice.say("live", "#room")
        live = await bob.next_event("#room", "message")
        assert [*seqs, live.seq] == list(range(1, live.seq + 1))
        assert not bob.kept(Event)


async def test_refused_channel_does_not_affect_other_resumed_channels(
    shared: ChatServer, fresh: Fresh
) -> None:
    name, other = fresh("alice"), fresh("#other")
    rooms = [fresh("#room") for _ in range(20)]  # more than one snapshot reads
    async with Peer.signed_in(shared.url, fresh("bob")) as bob:
        await bob.join(other)
    async with Peer.signed_in(shared.url, name) as alice:
        token = alice.token
        positions = {}
        for room in rooms:
            joined = await alice.join(room)
            positions[room] = ResumeFrom(epoch=joined.epoch, after=0)
    wanted = dict([*list(positions.items())[:3], (other, ResumeFrom(epoch="e", after=0))])
    async with Peer.connect(shared.url) as alice:
        await alice.hello(name, token, wanted | positions)
        back = [await alice.next(Joined) for _ in rooms]
        assert {each.channel for each in back} == set(rooms)
        assert all(each.recovered and each.complete for each in back)
        assert (await alice.next(ErrorFrame)).code == "not_a_member"


@pytest.mark.promise(
    3,
    fault="a position of another log",
    result="`recovered: false` and the newest page",
)
async def test_invalid_positions_get_the_newest_page(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--resume-window", "5", "--limits.burst", "1000")
    async with Peer.signed_in(server.url, "alice") as alice:
        joined = await alice.join("#room")
        await fill(alice, "#room", 20)
        cases = {
            "too old": ResumeFrom(epoch=joined.epoch, after=1),
            "another epoch": ResumeFrom(epoch="other", after=20),
            "above the head": ResumeFrom(epoch=joined.epoch, after=999),
            "another event there": ResumeFrom(epoch=joined.epoch, after=20, mid="other"),
        }
        for what, position in cases.items():
            back = await alice.call(Join(channel="#room", resume=position), Joined)
            assert not back.recovered, what
            assert back.complete, what
            assert back.items[-1].seq == back.head, what


async def test_history_reads_backwards_and_around(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        await fill(alice, room, 30)
        newest = await alice.call(History(channel=room, limit=10), Page)
        assert [item.seq for item in newest.items] == list(range(22, 32))
        older = await alice.call(History(channel=room, before=22, limit=10), Page)
        assert [item.seq for item in older.items] == list(range(12, 22))
        assert not older.complete
        oldest = await alice.call(History(channel=room, before=6, limit=10), Page)
        assert oldest.items[0].seq == 1
        assert oldest.complete
        around = await alice.call(History(channel=room, around=15, limit=10), Page)
        seqs = [item.seq for item in around.items]
        assert 15 in seqs
        assert len(seqs) == 10
        assert seqs == sorted(seqs)


@pytest.mark.promise(
    7,
    fault="`history` and `who` without membership",
    result="refused",
)
async def test_only_members_read_history(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        await alice.say("for members", room)
        assert (await bob.call(History(channel=room), ErrorFrame)).code == "not_a_member"
        await bob.join(room)  # members may read the whole log
        page = await bob.call(History(channel=room), Page)
        assert "for members" in [item.text for item in page.items]


@pytest.mark.promise(
    7,
    fault="leaving",
    result="nothing more is delivered",
)
async def test_no_events_are_delivered_after_leaving(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        await bob.join(room)
        await bob.call(Leave(channel=room))
        await alice.say("without bob", room)
        await bob.settle()
        assert bob.welcome is not None
        mine = [event for event in bob.kept(Event) if event.channel == room]
        assert [event.kind for event in mine] in (["join", "leave"], ["leave"])
        assert (await alice.next_event(room, "leave")).author == bob.welcome.user


async def test_leaving_during_a_join_stops_following(tmp_path: Path) -> None:
    settings = ServerSettings(data=tmp_path, host=["127.0.0.1"], port=0)
    loop = asyncio.get_running_loop()
    app = App(settings, loop, open_store=HeldStore.opened)
    await app.start()
    assert isinstance(app.store, HeldStore)
    try:
        async with asyncio.timeout(PATIENCE), Peer.signed_in(app.addresses[0], "bob") as bob:
            with app.store.hold("read") as held:
                await bob.post(Join(channel="#room", id="join"))
                await held.until_done()
                await bob.call(Leave(channel="#room"))
            held.release()
            refusal = await bob.next(ErrorFrame)
            assert (refusal.id, refusal.code) == ("join", "not_a_member")
            assert app.context.channels.channel("#room") is None
    finally:
        await app.stop()


async def test_second_session_follows_joins_and_leaves_of_the_first(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("alice")
    async with (
        Peer.signed_in(shared.url, name) as phone,
        Peer.signed_in(shared.url, name, phone.token) as laptop,
    ):
        await phone.join(room)
        assert (await laptop.next(Joined)).channel == room
        await phone.say("hi", room)
        await laptop.next_event(room, "message")
        await laptop.call(Leave(channel=room))
        error = await phone.call(Send(channel=room, text="x"), ErrorFrame)
        assert error.code == "not_a_member"


async def test_markers_move_forward_only_and_on_all_devices(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("bob")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, name) as phone,
        Peer.signed_in(shared.url, name, phone.token) as laptop,
    ):
        await alice.join(room)
        await phone.join(room)
        seqs = [(await alice.say(f"@{name} {n}", room)).seq for n in range(4)]
        assert seqs[1] is not None
        assert seqs[0] is not None
        await phone.call(Mark(channel=room, seq=seqs[1]))
        read = await laptop.next(Read)
        assert (read.channel, read.seq, read.unread, read.mentions) == (room, seqs[1], 2, 2)
        back = await phone.call(Mark(channel=room, seq=seqs[0]))
        assert back.seq == seqs[1]
        beyond = await phone.call(Mark(channel=room, seq=9_999), ErrorFrame)
        assert beyond.field == "seq"
    async with Peer.signed_in(shared.url, name, phone.token) as again:
        assert again.welcome is not None
        mine = {m.channel: m for m in again.welcome.channels}[room]
        assert (mine.read, mine.unread, mine.mentions) == (seqs[1], 2, 2)


async def test_heartbeat_sends_the_heads(start_server: Callable[..., ChatServer]) -> None:
    server = start_server("--heartbeat", "3")
    async with Peer.signed_in(server.url, "alice") as alice:
        ok = await alice.say("hello")
        heads = await alice.next(Heads, lambda frame: frame.heads.get("#general") == ok.seq)
        assert heads.heads == {"#general": ok.seq}
        assert not alice.kept(Event)  # not joined in this session: heads only
