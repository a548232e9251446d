"""Direct channels: opened by a first word, closed to everybody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.protocol.commands import Channels, History, Join, Leave, Send, Who
from chat.protocol.frames import ChannelList, ErrorFrame, Heads, Joined
from chat.protocol.items import Event
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def test_the_first_message_opens_it_and_the_other_follows_unasked(
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


async def test_joining_opens_it_as_well(shared: ChatServer, fresh: Fresh) -> None:
    a, b = fresh("alice"), fresh("bob")
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b) as bob:
        joined = await alice.join(f"@{a},{b}")
        assert joined.role == "member"
        assert {member.name for member in joined.members} == {a, b}
        assert (await bob.next(Joined)).channel == joined.channel


@pytest.mark.promise(
    7,
    fault="an outsider names a direct channel",
    result="the same answer whether it exists or not",
)
async def test_outsiders_learn_nothing_not_even_that_it_exists(
    shared: ChatServer, fresh: Fresh
) -> None:
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


async def test_every_name_must_exist(shared: ChatServer, fresh: Fresh) -> None:
    a, ghost = fresh("alice"), fresh("ghost")
    async with Peer.signed_in(shared.url, a) as alice:
        error = await alice.call(Send(channel=f"@{a},{ghost}", text="hi"), ErrorFrame)
        assert error.code == "no_such_user"
        assert ghost in error.message


async def test_nobody_leaves_it(shared: ChatServer, fresh: Fresh) -> None:
    a, b = fresh("alice"), fresh("bob")
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b):
        await alice.join(f"@{a},{b}")
        error = await alice.call(Leave(channel=f"@{a},{b}"), ErrorFrame)
        assert error.code == "forbidden"


async def test_several_people_share_one(shared: ChatServer, fresh: Fresh) -> None:
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
