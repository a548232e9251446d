"""Invitations to channels and ignored users: frames for the right sessions, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from chat.protocol.commands import (
    Ban,
    Create,
    Decline,
    DeleteChannel,
    Ignore,
    Invite,
    Join,
    React,
    Send,
    SetTopic,
    Unignore,
    Uninvite,
)
from chat.protocol.frames import ErrorFrame, Ignored, Invited, Joined, Read
from chat.protocol.items import Event
from chat.protocol.values import Wire
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def create(owner: Peer, channel: str) -> None:
    await owner.call(Create(channel=channel, private=True, topic="secret"), Joined)


@pytest.mark.feature("server.private")
async def test_invitation_reaches_all_devices_and_the_next_welcome(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, a, b = fresh("#private"), fresh("alice"), fresh("bob")
    async with (
        Peer.signed_in(shared.url, a) as alice,
        Peer.signed_in(shared.url, b) as phone,
        Peer.signed_in(shared.url, b, phone.token) as laptop,
    ):
        await create(alice, room)
        await alice.call(Invite(channel=room, name=b))
        for device in (phone, laptop):
            told = await device.next(Invited)
            assert not told.remove
            assert (told.invitation.channel, told.invitation.by) == (room, a)
            assert (told.invitation.topic, told.invitation.private) == ("secret", True)
        async with Peer.signed_in(shared.url, b, phone.token) as tablet:
            assert tablet.welcome is not None
            assert [each.channel for each in tablet.welcome.invited] == [room]
        assert not alice.kept(Invited)
        joined = await phone.join(room)
        assert [item.kind for item in joined.items] == ["join", "topic", "join"]
        for device in (phone, laptop):
            ended = await device.next(Invited)
            assert ended.remove
            assert ended.invitation.channel == room
        await laptop.next(Joined, lambda frame: frame.channel == room)
        async with Peer.signed_in(shared.url, b, phone.token) as tablet:
            assert tablet.welcome is not None
            assert tablet.welcome.invited == ()


@pytest.mark.parametrize("how", ["decline", "withdraw", "ban", "delete"])
async def test_ended_invitation_is_told_and_opens_nothing(
    shared: ChatServer, fresh: Fresh, how: str
) -> None:
    room, b = fresh("#private"), fresh("bob")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, b) as bob,
    ):
        await create(alice, room)
        await alice.call(Invite(channel=room, name=b))
        await bob.next(Invited)
        match how:
            case "decline":
                await bob.call(Decline(channel=room))
            case "withdraw":
                await alice.call(Uninvite(channel=room, name=b))
            case "ban":
                await alice.call(Ban(channel=room, name=b))
            case "delete":
                await alice.call(DeleteChannel(channel=room))
        assert (await bob.next(Invited)).remove
        if how == "delete":  # the name is free
            assert (await bob.join(room)).role == "owner"
        else:
            error = await bob.call(Join(channel=room), ErrorFrame)
            assert error.code == "name_unavailable"


async def test_invitation_withdrawn_while_it_is_accepted_has_one_outcome(
    shared: ChatServer, fresh: Fresh
) -> None:
    b = fresh("bob")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, b) as bob,
    ):
        for _ in range(8):
            room = fresh("#private")
            await create(alice, room)
            await alice.call(Invite(channel=room, name=b))
            await bob.next(Invited)
            _, answer = await asyncio.gather(
                alice.call(Uninvite(channel=room, name=b)), bob.call(Join(channel=room), Wire)
            )
            assert (await bob.next(Invited)).remove
            if isinstance(answer, ErrorFrame):
                assert answer.code == "name_unavailable"
            else:
                await bob.say("I am in", room)


@pytest.mark.promise(
    7,
    fault="a user invites somebody who ignores them",
    result="the same answers as for somebody who does not; the invitation reaches nobody",
)
async def test_inviter_cannot_tell_that_they_are_ignored(shared: ChatServer, fresh: Fresh) -> None:
    room, m, b, c = fresh("#private"), fresh("mallory"), fresh("bob"), fresh("carol")
    async with (
        Peer.signed_in(shared.url, m) as mallory,
        Peer.signed_in(shared.url, b) as bob,
        Peer.signed_in(shared.url, c) as carol,
    ):
        await create(mallory, room)
        await bob.call(Ignore(name=m))
        for command in (Invite, Invite, Uninvite, Invite):
            answers = [
                (await mallory.call(command(channel=room, name=name, id="x"))).model_dump_json()
                for name in (b, c)
            ]
            assert answers[0] == answers[1]
        await bob.settle()
        assert not bob.kept(Invited)
        assert len(carol.kept(Invited)) == 3
        error = await bob.call(Join(channel=room), ErrorFrame)
        assert error.code == "name_unavailable"


async def test_ignored_users_are_told_to_all_devices(shared: ChatServer, fresh: Fresh) -> None:
    b, m, x = fresh("bob"), fresh("mallory"), fresh("trudy")
    async with (
        Peer.signed_in(shared.url, m) as mallory,
        Peer.signed_in(shared.url, x),
        Peer.signed_in(shared.url, b) as phone,
        Peer.signed_in(shared.url, b, phone.token) as laptop,
    ):
        for name in (m, x, m):
            await phone.call(Ignore(name=name.upper()))
        await phone.call(Unignore(name=x))
        for device in (phone, laptop):
            told = [(await device.next(Ignored)).names for _ in range(3)]
            assert told == [(m,), tuple(sorted((m, x))), (m,)]
        async with Peer.signed_in(shared.url, b, phone.token) as tablet:
            assert tablet.welcome is not None
            assert tablet.welcome.ignored == (m,)
        error = await phone.call(Ignore(name=fresh("nobody")), ErrorFrame)
        assert error.code == "no_such_user"
        assert not mallory.kept(Ignored)


async def test_ignored_messages_open_no_direct_channel(shared: ChatServer, fresh: Fresh) -> None:
    b, m = fresh("bob"), fresh("mallory")
    direct = f"@{b},{m}"
    async with Peer.signed_in(shared.url, b) as bob, Peer.signed_in(shared.url, m) as mallory:
        await bob.call(Ignore(name=m))
        sent = await mallory.say("hey", direct)
        assert sent.seq == 1
        await mallory.call(React(channel=direct, seq=1, emoji="👍"))
        await bob.settle()
        assert not bob.kept(Event)
        assert not [each for each in bob.kept(Joined) if each.channel == direct]
        async with Peer.signed_in(shared.url, b, bob.token) as tablet:
            assert tablet.welcome is not None
            assert direct not in [each.channel for each in tablet.welcome.channels]
        await bob.call(Unignore(name=m))
        await mallory.say("hey again", direct)
        joined = await bob.next(Joined, lambda frame: frame.channel == direct)
        assert [item.text for item in joined.items if item.text] == ["hey", "hey again"]


async def test_ignored_mentions_and_messages_do_not_count(shared: ChatServer, fresh: Fresh) -> None:
    room, b, m, c = fresh("#room"), fresh("bob"), fresh("mallory"), fresh("carol")
    async with (
        Peer.signed_in(shared.url, c) as carol,
        Peer.signed_in(shared.url, m) as mallory,
        Peer.signed_in(shared.url, b) as bob,
    ):
        for peer in (carol, mallory, bob):
            await peer.join(room)
        root = (await carol.say("one", room)).seq
        await bob.call(Ignore(name=m))
        await mallory.say(f"@{b} hey", room)
        await mallory.call(Send(channel=room, text=f"@{b} hey", reply_to=root, thread_only=True))
        joined = await bob.join(room)
        assert (joined.unread, joined.mentions) == (1, 0)
        assert [each.unread for each in joined.threads] == [0]
        for _ in range(2):  # the sender cannot tell
            await mallory.next(Event, lambda each: each.channel == room and b in each.mentions)
        await carol.call(SetTopic(channel=room, topic="news"))
        assert not bob.kept(Read)
