"""Acts that are no events of a followed channel reach the sessions on other servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from chat.protocol.commands import (
    Create,
    Decline,
    DeleteChannel,
    Ignore,
    Invite,
    Kick,
    Mark,
    Prefer,
    Send,
    Uninvite,
)
from chat.protocol.frames import ErrorFrame, Ignored, Invited, Joined, Preferences, Read, Removed
from tests.cluster.three_servers import Cluster
from tests.serving import Peer

pytestmark = pytest.mark.cluster

ROOM, SECRET, DIRECT = "#room", "#secret", "@alice,bob"


class People(NamedTuple):
    """Three people on three servers; bob has a second device, beside carol."""

    alice: Peer
    bob: Peer
    carol: Peer
    laptop: Peer


@pytest.fixture
async def people(cluster: Cluster) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:

        async def enter(server: int, name: str, token: str | None = None) -> Peer:
            url = cluster.urls[server]
            return await stack.enter_async_context(Peer.signed_in(url, name, token))

        bob = await enter(1, "bob")
        yield People(
            await enter(0, "alice"), bob, await enter(2, "carol"), await enter(2, "bob", bob.token)
        )


async def test_invitations_reach_other_servers_and_end_there(people: People) -> None:
    alice, bob, carol, laptop = people
    await alice.call(Create(channel=SECRET, private=True), Joined)
    await alice.call(Invite(channel=SECRET, name="bob"))
    for peer in (bob, laptop):
        assert (await peer.next(Invited)).invitation.channel == SECRET
    await laptop.call(Decline(channel=SECRET))
    assert (await bob.next(Invited)).remove
    await alice.call(Invite(channel=SECRET, name="carol"))
    await carol.next(Invited)
    await alice.call(Uninvite(channel=SECRET, name="carol"))
    assert (await carol.next(Invited)).remove
    await alice.call(Invite(channel=SECRET, name="bob"))
    await bob.next(Invited, lambda frame: not frame.remove)
    await bob.join(SECRET)
    assert (await laptop.next(Joined)).channel == SECRET
    await alice.say("welcome", SECRET)
    assert (await laptop.next_event(SECRET, "message")).text == "welcome"


async def test_kick_ends_the_membership_on_all_servers(people: People) -> None:
    alice, bob, _carol, laptop = people
    await alice.join(ROOM)
    await bob.join(ROOM)
    await laptop.next(Joined)
    await alice.call(Kick(channel=ROOM, name="bob", reason="enough"))
    for peer in (bob, laptop):
        removed = await peer.next(Removed)
        assert (removed.channel, removed.act, removed.reason) == (ROOM, "kick", "enough")
    refused = await laptop.call(Send(channel=ROOM, text="still here?"), ErrorFrame)
    assert refused.code == "not_a_member"


async def test_deleted_channel_ends_everywhere_and_its_name_can_be_used_again(
    people: People,
) -> None:
    alice, bob, carol, _laptop = people
    for turn in ("first", "second"):
        await alice.call(Create(channel=ROOM), Joined)
        for peer in (bob, carol):
            await peer.join(ROOM)
        for number in range(3):
            await carol.say(f"{turn} {number}", ROOM)
        for peer in (alice, bob):
            for number in range(3):
                assert (await peer.next_event(ROOM, "message")).text == f"{turn} {number}"
        await alice.call(DeleteChannel(channel=ROOM))
        for peer in (bob, carol):
            assert (await peer.next(Removed)).act == "deleted"


async def test_direct_channel_is_hidden_and_shown_again_on_all_devices(people: People) -> None:
    alice, bob, _carol, laptop = people
    await alice.call(Send(channel=DIRECT, text="one"))
    for peer in (bob, laptop):
        assert (await peer.next(Joined)).channel == DIRECT
    await bob.call(Prefer(channel=DIRECT, hidden=True))
    await laptop.next(Preferences, lambda frame: bool(frame.hidden))
    await alice.call(Send(channel=DIRECT, text="two"))
    for peer in (bob, laptop):
        assert (await peer.next(Joined)).channel == DIRECT
    await alice.call(Send(channel=DIRECT, text="three"))
    for peer in (bob, laptop):
        await peer.next_event(DIRECT, "message")


async def test_ignored_users_markers_and_preferences_reach_other_devices(people: People) -> None:
    alice, bob, _carol, laptop = people
    await alice.join(ROOM)
    await bob.join(ROOM)
    await laptop.next(Joined)
    await bob.call(Ignore(name="carol"))
    assert (await laptop.next(Ignored)).names == ("carol",)
    sent = await alice.say("hi", ROOM)
    assert sent.seq is not None
    await bob.next_event(ROOM, "message")
    await bob.call(Mark(channel=ROOM, seq=sent.seq))
    assert (await laptop.next(Read)).seq == sent.seq
    await laptop.call(Prefer(channel=ROOM, muted=True))
    assert (await bob.next(Preferences)).muted
