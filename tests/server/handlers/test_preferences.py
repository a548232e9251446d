"""Channel preferences: sent to all sessions of the user, and to no other user."""

from __future__ import annotations

from collections.abc import Callable

from chat.protocol.commands import Join, Leave, Prefer
from chat.protocol.frames import ErrorFrame, Joined, Ok, Preferences
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def test_preferences_reach_all_sessions_at_once_and_after_sign_in(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("alice")
    async with (
        Peer.signed_in(shared.url, fresh("bob")) as bob,
        Peer.signed_in(shared.url, name) as phone,
        Peer.signed_in(shared.url, name, phone.token) as laptop,
    ):
        await bob.join(room)
        await phone.join(room)
        await phone.call(Prefer(channel=room, pinned=2, muted=True), Ok)
        changed = await laptop.next(Preferences)
        assert (changed.channel, changed.pinned, changed.muted, changed.level) == (
            room,
            2,
            True,
            "mentions",
        )
        await laptop.call(Prefer(channel=room, muted=False, level="none"), Ok)
        await phone.next(Preferences, lambda frame: frame.level == "none")
        await bob.settle()
        assert not bob.kept(Preferences)
    async with Peer.signed_in(shared.url, name, phone.token) as again:
        assert again.welcome is not None
        mine = {each.channel: each for each in again.welcome.channels}[room]
        assert (mine.pinned, mine.muted, mine.level) == (2, False, "none")
        joined = await again.call(Join(channel=room), Joined)
        assert (joined.pinned, joined.muted, joined.level) == (2, False, "none")


async def test_unchanged_preferences_are_not_sent(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        await alice.call(Prefer(channel=room, pinned=0, level="mentions"), Ok)
        await alice.call(Prefer(channel=room), Ok)
        await alice.settle()
        assert not alice.kept(Preferences)


async def test_only_members_set_preferences(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        await alice.call(Leave(channel=room))
        for channel, code in ((room, "not_a_member"), ("#none-such", "no_such_channel")):
            refused = await alice.call(Prefer(channel=channel, muted=True), ErrorFrame)
            assert refused.code == code
        built_in = await alice.call(Prefer(channel="#echo", muted=True), ErrorFrame)
        assert built_in.code == "forbidden"
