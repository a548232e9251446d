"""Direct channels: created by the first message, invisible to outsiders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, islice
from pathlib import Path

import pytest

from chat.protocol.commands import (
    Channels,
    History,
    Join,
    Leave,
    Prefer,
    React,
    ResumeFrom,
    Send,
    Who,
)
from chat.protocol.frames import (
    ChannelList,
    ErrorFrame,
    Heads,
    Joined,
    Members,
    Preferences,
    PresenceFrame,
    Welcome,
)
from chat.protocol.items import Event
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def test_first_message_creates_a_direct_channel_and_the_recipient_follows_it(
    shared: ChatServer, fresh: Fresh
) -> None:
    a, b = fresh("alice"), fresh("bob")
    channel = f"@{a},{b}"
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b) as bob:
        ok = await alice.say("psst", f"@{b},{a}")  # in any order
        unasked = await bob.next(Joined)
        assert (unasked.channel, unasked.id, unasked.complete) == (channel, None, True)
        assert [item.text for item in unasked.items] == ["psst"]
        assert unasked.unread == 1
        own = await alice.next(Joined)
        assert own.head == ok.seq
        await bob.say("yes?", channel)
        assert (await alice.next_event(channel)).text == "yes?"
        assert (await bob.next_event(channel)).text == "yes?"


async def test_joined_direct_channel_is_listed_for_the_joiner_only_until_the_first_message(
    shared: ChatServer, fresh: Fresh
) -> None:
    a, b = fresh("alice"), fresh("bob")
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b) as bob:
        joined = await alice.join(f"@{a},{b}")
        assert joined.role == "member"
        assert {member.name for member in joined.members} == {a, b}
        present = await alice.next(PresenceFrame, lambda frame: frame.channel == joined.channel)
        assert present.users == {a: "online", b: "online"}
        await bob.settle()
        assert not bob.kept(Joined)
        async with Peer.signed_in(shared.url, b, bob.token) as phone:
            assert phone.welcome is not None
            assert joined.channel not in [each.channel for each in phone.welcome.channels]
            await alice.say("psst", joined.channel)
            for device in (bob, phone):
                unasked = await device.next(Joined)
                assert (unasked.channel, unasked.unread) == (joined.channel, 1)


async def test_hidden_direct_channel_returns_with_the_next_message(
    shared: ChatServer, fresh: Fresh
) -> None:
    a, b = fresh("alice"), fresh("bob")
    channel = f"@{a},{b}"
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b) as bob:
        async with Peer.signed_in(shared.url, b, bob.token) as phone:
            assert phone.welcome is not None
            assert "hidden" in phone.welcome.features
            await alice.say("buy this", channel)
            for device in (bob, phone):
                epoch = (await device.next(Joined)).epoch
            await bob.call(Prefer(channel=channel, hidden=True))
            for device in (bob, phone):
                frame = await device.next(Preferences)
                assert (frame.channel, frame.hidden) == (channel, True)
            reaction = React(channel=channel, seq=1, emoji="+1")
            await alice.call(reaction)  # not a message
            await phone.settle()
            assert not [event for event in phone.kept(Event) if event.kind == "react"]
        async with Peer.connect(shared.url) as phone:
            position = ResumeFrom(epoch=epoch, after=1)  # from before it was hidden
            welcome = await phone.hello(b, bob.token, {channel: position})
            assert channel not in [each.channel for each in welcome.channels]
            await phone.settle()
            assert not phone.kept(Joined)
            await alice.say("please", channel)
            for device in (bob, phone):
                # The read for its outdated position may end only now, and its answer arrive first.
                await device.next(
                    Joined, lambda frame: "please" in [item.text for item in frame.items]
                )
        await bob.call(Prefer(channel=channel, hidden=True))
        assert (await bob.join(channel)).head == 3
        welcome = await _welcome_again(shared, b, bob.token)
        assert channel in [each.channel for each in welcome.channels]
        await bob.call(Prefer(channel=channel, hidden=True))
        await bob.say("no", channel)
        assert (await bob.next(Joined)).channel == channel


async def _welcome_again(server: ChatServer, name: str, token: str) -> Welcome:
    async with Peer.signed_in(server.url, name, token) as peer:
        assert peer.welcome is not None
        return peer.welcome


async def test_members_of_a_hidden_direct_channel_are_listed_under_its_stored_name(
    shared: ChatServer, fresh: Fresh
) -> None:
    a, b = fresh("Alice"), fresh("bob")
    channel = f"@{a},{b}"
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b):
        await alice.say("psst", channel)
        await alice.call(Prefer(channel=channel, hidden=True))
        listed = await alice.call(Who(channel=f"@{b.upper()},{a.lower()}"), Members)
        assert listed.channel == channel


async def test_only_a_direct_channel_can_be_hidden(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        error = await alice.call(Prefer(channel="#general", hidden=True), ErrorFrame)
        assert error.code == "forbidden"


async def test_opening_direct_channels_is_limited_per_user(tmp_path: Path) -> None:
    with ChatServer(tmp_path, "--limits.openings", "3") as server:
        async with (
            Peer.signed_in(server.url, "mallory") as mallory,
            Peer.signed_in(server.url, "victim") as victim,
        ):
            for name in ("a", "b", "c", "d"):
                async with Peer.signed_in(server.url, name):
                    pass
            for name in ("a", "b", "c"):
                await mallory.join(f"@mallory,victim,{name}")
            refused = await mallory.call(Join(channel="@mallory,victim,d"), ErrorFrame)
            assert refused.code == "rate_limited"
            assert refused.retry_after is not None
            assert 600 < refused.retry_after <= 1_200
            assert (await victim.join("@victim,d")).role == "member"


@pytest.mark.promise(
    5,
    fault="others open so many direct channels with a person that their `hello` has 300 kB",
    result="the `hello` is accepted; the channels do not count against the person's limits",
)
async def test_direct_channels_opened_by_others_do_not_use_up_a_users_limit(tmp_path: Path) -> None:
    limits = "--limits.channels", "500", "--limits.openings", "1000", "--limits.burst", "5000"
    names = [f"a-name-of-thirty-one-letters.{number:02}" for number in range(24)]
    with ChatServer(tmp_path, *limits, "--limits.rate", "5000") as server:
        for name in (*names, "zoe"):
            async with Peer.signed_in(server.url, name):
                pass
        async with Peer.signed_in(server.url, "victim") as victim:
            token = victim.token
            groups = combinations(names, 14)
            for name in names[:2]:
                async with Peer.signed_in(server.url, name + "x") as stranger:
                    for group in islice(groups, 260):
                        channel = "@" + ",".join((*group, "victim", name + "x"))
                        await stranger.say("hello", channel)
            await victim.until(lambda: len(victim.kept(Joined)) == 520, "every channel")
            seen = victim.kept(Joined)
        positions = {
            each.channel: ResumeFrom(epoch=each.epoch, after=each.head, mid=each.items[-1].mid)
            for each in seen[:500]
        }
        async with Peer.connect(server.url) as victim:
            welcome = await victim.hello("victim", token, positions)
            assert len(welcome.channels) == 501
            assert (await victim.join("#new")).role == "owner"
            assert (await victim.join("@victim,zoe")).role == "member"
            listed = {each.channel for each in welcome.channels}
            resumed = len(listed & positions.keys())
            await victim.until(lambda: len(victim.kept(Joined)) == resumed, "every position")
        welcome = await _welcome_again(server, "victim", token)
        listed = {each.channel for each in welcome.channels}
        assert {"#general", "#new", "@victim,zoe"} <= listed
        assert len(listed) == 502


@pytest.mark.promise(
    7,
    fault="an outsider names a direct channel",
    result="the same answer whether it exists or not",
)
async def test_direct_channel_is_invisible_to_outsiders(shared: ChatServer, fresh: Fresh) -> None:
    a, b, c = fresh("alice"), fresh("bob"), fresh("carol")
    there, not_there = f"@{a},{b}", f"@{a},{fresh('dave')}"
    async with (
        Peer.signed_in(shared.url, a) as alice,
        Peer.signed_in(shared.url, b),
        Peer.signed_in(shared.url, c) as carol,
    ):
        await alice.say("secret", there)
        for channel in (there, not_there):
            for command in (
                Join(channel=channel),
                Leave(channel=channel),
                Send(channel=channel, text="let me in"),
                History(channel=channel),
                Who(channel=channel),
            ):
                error = await carol.call(command, ErrorFrame)
                assert error.code == "no_such_channel", command
                assert error.message.count(channel) == error.message.count("@"), command
        listed = await carol.call(Channels(), ChannelList)
        assert not [listing for listing in listed.channels if listing.channel.startswith("@")]
        assert carol.welcome is not None
        assert [m.channel for m in carol.welcome.channels] == ["#general"]
        assert not [e for e in carol.kept(Event) if e.channel == there]
        assert not [h for h in carol.kept(Heads) if there in h.heads]


async def test_direct_channel_with_an_unknown_name_is_refused(
    shared: ChatServer, fresh: Fresh
) -> None:
    a, ghost = fresh("alice"), fresh("ghost")
    async with Peer.signed_in(shared.url, a) as alice:
        error = await alice.call(Send(channel=f"@{a},{ghost}", text="hi"), ErrorFrame)
        assert error.code == "no_such_user"
        assert ghost in error.message


async def test_direct_channel_cannot_be_left(shared: ChatServer, fresh: Fresh) -> None:
    a, b = fresh("alice"), fresh("bob")
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b):
        await alice.join(f"@{a},{b}")
        error = await alice.call(Leave(channel=f"@{a},{b}"), ErrorFrame)
        assert error.code == "forbidden"


async def test_direct_channel_can_have_several_people(shared: ChatServer, fresh: Fresh) -> None:
    names = [fresh("alice"), fresh("bob"), fresh("carol")]
    channel = "@" + ",".join(names)
    async with (
        Peer.signed_in(shared.url, names[0]) as alice,
        Peer.signed_in(shared.url, names[1]) as bob,
        Peer.signed_in(shared.url, names[2]) as carol,
    ):
        await alice.say("hi both", channel)
        for peer in (bob, carol):
            assert (await peer.next(Joined)).channel == channel
