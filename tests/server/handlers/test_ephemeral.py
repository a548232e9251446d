"""Presence and typing over the wire: joins, status changes, expiry; directory and members."""

from __future__ import annotations

from collections.abc import Callable

from chat.protocol.commands import Channels, SetStatus, Typing, Who
from chat.protocol.frames import ChannelList, ErrorFrame, Members, PresenceFrame, TypingFrame
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def test_members_see_a_user_connect_change_status_and_disconnect(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("bob")

    async def seen(presence: str) -> None:
        await alice.next(PresenceFrame, lambda frame: frame.users.get(name) == presence)

    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        async with Peer.signed_in(shared.url, name) as phone:
            await phone.join(room)
            await seen("online")
            async with Peer.signed_in(shared.url, name, phone.token) as laptop:
                await phone.call(SetStatus(status="away"))
                await laptop.call(SetStatus(status="away"))
                await seen("away")
                await laptop.call(SetStatus(status="busy"))
                await seen("busy")
            await seen("away")
        await seen("offline")


async def test_joining_sends_a_presence_snapshot(shared: ChatServer, fresh: Fresh) -> None:
    room, a, b = fresh("#room"), fresh("alice"), fresh("bob")
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b) as bob:
        await alice.join(room)
        await bob.join(room)
        snapshot = await bob.next(PresenceFrame, lambda frame: frame.channel == room)
        assert snapshot.snapshot
        assert snapshot.users == {a: "online", b: "online"}


async def test_typing_is_sent_stops_with_a_message_and_expires(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("bob")

    async def typing_is(*names: str) -> None:
        await alice.next(TypingFrame, lambda f: f.channel == room and f.users == names)

    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, name) as bob,
    ):
        await alice.join(room)
        await bob.join(room)
        await bob.call(Typing(channel=room))
        await typing_is(name)
        await bob.say("done", room)
        await typing_is()
        await bob.call(Typing(channel=room))
        await typing_is(name)
        await typing_is()  # it expires


async def test_only_members_send_typing(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        assert (await bob.call(Typing(channel=room), ErrorFrame)).code == "not_a_member"


async def test_directory_and_member_list_are_paged(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.page", "2", "--limits.members", "2")
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "bob"),
        Peer.signed_in(server.url, "carol") as carol,
    ):
        for room in ("#a", "#b", "#c"):
            await alice.join(room)
        await carol.join("#general")
        listed: list[str] = []
        cursor: str | None = None
        while True:
            page = await alice.call(Channels(cursor=cursor), ChannelList)
            assert len(page.channels) <= 2
            listed += [listing.channel for listing in page.channels]
            if (cursor := page.cursor) is None:
                break
        assert listed == ["#a", "#b", "#c", "#general"]
        members: dict[str, str] = {}
        while True:
            who = await alice.call(Who(channel="#general", cursor=cursor), Members)
            assert len(who.members) <= 2
            members |= {member.name: member.presence for member in who.members}
            if (cursor := who.cursor) is None:
                break
        assert members == {"alice": "online", "bob": "online", "carol": "online"}
