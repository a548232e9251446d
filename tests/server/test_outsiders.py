"""Private channels, bans, invitations and ignored users: outsiders cannot tell."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from chat.protocol import commands, frames
from chat.protocol.codec import encode
from chat.protocol.commands import Command
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]

RESUME = commands.ResumeFrom(epoch="e", after=1)


def everything(channel: str, name: str) -> list[Command]:
    """Return every command that names a channel, and does not create it."""
    c = commands
    return [
        c.Leave(channel=channel),
        c.Send(channel=channel, text="hello"),
        c.Send(channel=channel, text="hello", reply_to=2, thread_only=True),
        c.Edit(channel=channel, seq=2, text="hello"),
        c.Delete(channel=channel, seq=2),
        c.React(channel=channel, seq=2, emoji="👍"),
        c.Pin(channel=channel, seq=2),
        c.SetTopic(channel=channel, topic="news"),
        c.History(channel=channel),
        c.History(channel=channel, thread=2),
        c.History(channel=channel, after=0),
        c.Search(channel=channel, query="hello"),
        c.Who(channel=channel),
        c.Mark(channel=channel, seq=1),
        c.Mark(channel=channel, seq=1, thread=2),
        c.Follow(channel=channel, thread=2),
        c.Prefer(channel=channel, muted=True),
        c.Prefer(channel=channel, hidden=True),
        c.Typing(channel=channel),
        c.Kick(channel=channel, name=name),
        c.Kick(channel=channel, name="nobody"),
        c.Ban(channel=channel, name=name),
        c.Unban(channel=channel, name=name),
        c.ListBans(channel=channel),
        c.MuteUser(channel=channel, name=name),
        c.Unmute(channel=channel, name=name),
        c.SetRole(channel=channel, name=name, role="moderator"),
        c.ChangeChannel(channel=channel, posting="everyone"),
        c.ChangeChannel(channel=channel, private=True),
        c.Archive(channel=channel),
        c.DeleteChannel(channel=channel),
        c.Invite(channel=channel, name=name),
        c.Uninvite(channel=channel, name=name),
        c.Decline(channel=channel),
        c.Search(query="hello", cursor={channel: 9}),
        c.Channels(cursor=channel[:-1]),
    ]


class RawPeer:
    """A client that compares bytes."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.received: list[str] = []

    async def answer(self, command: Command) -> str:
        """Return the bytes of the answer."""
        await self._socket.send(encode(command.model_copy(update={"id": "x"})), text=True)
        while True:
            data = str(await self._socket.recv())
            self.received.append(data)
            if json.loads(data).get("id") == "x":
                return data


@asynccontextmanager
async def raw(server: ChatServer, name: str, token: str | None = None) -> AsyncIterator[RawPeer]:
    async with connect(server.url, proxy=None) as socket:
        peer = RawPeer(socket)
        resume = {"#general": RESUME}
        await peer.answer(commands.Hello(v=1, name=name, token=token, resume=resume))
        yield peer


async def as_kicked(owner: Peer, outsider: Peer, channel: str, name: str) -> None:
    await owner.call(commands.Invite(channel=channel, name=name))
    await outsider.join(channel)
    await outsider.say("hello", channel)
    await owner.call(commands.Kick(channel=channel, name=name))


async def as_banned(owner: Peer, outsider: Peer, channel: str, name: str) -> None:
    await as_kicked(owner, outsider, channel, name)
    await owner.call(commands.Ban(channel=channel, name=name))


async def as_banned_before(owner: Peer, _outsider: Peer, channel: str, name: str) -> None:
    await owner.call(commands.Ban(channel=channel, name=name))


async def as_uninvited(owner: Peer, _outsider: Peer, channel: str, name: str) -> None:
    await owner.call(commands.Invite(channel=channel, name=name))
    await owner.call(commands.Uninvite(channel=channel, name=name))


async def as_declined(owner: Peer, outsider: Peer, channel: str, name: str) -> None:
    await owner.call(commands.Invite(channel=channel, name=name))
    await outsider.call(commands.Decline(channel=channel))


async def as_stranger(_owner: Peer, _outsider: Peer, _channel: str, _name: str) -> None:
    """Do nothing."""


PASTS = (as_stranger, as_kicked, as_banned, as_banned_before, as_uninvited, as_declined)


@pytest.mark.promise(
    7,
    fault="an outsider, a former member, or a banned user names a private channel",
    result="the same bytes as for a channel that does not exist",
)
@pytest.mark.parametrize("past", PASTS)
async def test_private_channel_is_as_one_that_does_not_exist(
    shared: ChatServer, fresh: Fresh, past: Any
) -> None:
    there, missing = fresh("#private"), fresh("#missing")
    name, boss = fresh("mallory"), fresh("owner")
    async with Peer.signed_in(shared.url, boss) as owner:
        await owner.call(commands.Create(channel=there, private=True), frames.Joined)
        await owner.say(f"hello @{name}", there)
        async with Peer.signed_in(shared.url, name) as outsider:
            await past(owner, outsider, there, name)
            token = outsider.token
        async with raw(shared, name, token) as peer:
            pairs = zip(everything(there, boss), everything(missing, boss), strict=True)
            for command, same in pairs:
                found = await peer.answer(command)
                assert found.replace(there, missing) == await peer.answer(same), command
            await owner.say(f"hello again @{name}", there)
            await owner.call(commands.Typing(channel=there))
            await owner.call(commands.SetStatus(status="busy"))
            await peer.answer(commands.Ping())
            told = [each for each in peer.received if there in each or "hello" in each]
            assert [json.loads(each)["type"] for each in told if '"id":"x"' not in each] == []


async def test_resume_of_a_private_channel_is_refused_as_of_a_missing_one(
    shared: ChatServer, fresh: Fresh
) -> None:
    there, missing, name = fresh("#private"), fresh("#missing"), fresh("mallory")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, name) as outsider,
    ):
        await owner.call(commands.Create(channel=there, private=True), frames.Joined)
        await as_kicked(owner, outsider, there, name)
        async with Peer.connect(shared.url) as again:
            await again.hello(name, outsider.token, resume={there: RESUME, missing: RESUME})
            errors = [await again.next(frames.ErrorFrame) for _ in range(2)]
            assert errors[0].model_dump_json().replace(there, missing) == (
                errors[1].model_dump_json()
            )
            assert (errors[0].id, errors[0].code) == (None, "no_such_channel")


async def test_resume_of_a_public_channel_after_a_kick_is_refused(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("mallory")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, name) as outsider,
    ):
        await owner.join(room)
        joined = await outsider.join(room)
        await owner.call(commands.Kick(channel=room, name=name))
        async with Peer.connect(shared.url) as again:
            position = commands.ResumeFrom(epoch=joined.epoch, after=joined.head)
            await again.hello(name, outsider.token, resume={room: position})
            error = await again.next(frames.ErrorFrame)
            assert (error.id, error.code, error.channel) == (None, "not_a_member", room)


@pytest.mark.promise(
    7,
    fault="an outsider creates or joins a channel whose name a private channel has",
    result="`name_unavailable`, as for a reserved name: that a name is taken is all one can learn",
)
async def test_only_that_its_name_is_taken_tells_of_a_private_channel(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--reserved-channels", "#reserved", "--limits.channels", "20")
    there, reserved = "#private1", "#reserved"
    async with (
        Peer.signed_in(server.url, "owner") as owner,
        Peer.signed_in(server.url, "mallory") as former,
    ):
        await owner.call(commands.Create(channel=there, private=True), frames.Joined)
        await as_banned(owner, former, there, "mallory")
        for name, token in (("zoe", None), ("mallory", former.token)):
            async with raw(server, name, token) as peer:
                for kind in (commands.Join, commands.Create):
                    found = await peer.answer(kind(channel=there))
                    assert json.loads(found)["code"] == "name_unavailable"
                    same = await peer.answer(kind(channel=reserved))
                    assert found.replace(there, reserved) == same
                private = commands.Create(channel=there, private=True)
                assert (await peer.answer(private)).replace(there, reserved) == same


def approaches(room: str, den: str, direct: str, name: str) -> list[Command]:
    """Return all that a user can do towards another one, in channels that they share."""
    c = commands
    return [
        c.Create(channel=room),
        c.Invite(channel=room, name=name),
        c.Send(channel=room, text=f"@{name} hello"),
        c.Send(channel=room, text=f"@{name} hello", reply_to=3, thread_only=True),
        c.Send(channel=room, text=f"@{name} hello again", reply_to=4),
        c.Edit(channel=room, seq=3, text=f"hello @{name}"),
        c.React(channel=room, seq=3, emoji="👍"),
        c.Pin(channel=room, seq=3),
        c.Typing(channel=room),
        c.SetTopic(channel=room, topic=f"for @{name}"),
        c.Create(channel=den, private=True),
        *[c.Invite(channel=den, name=name)] * 2,
        c.Uninvite(channel=den, name=name),
        c.Invite(channel=den, name=name),
        c.Join(channel=direct),
        c.Send(channel=direct, text="hello"),
        c.Send(channel=direct, text="hello", reply_to=1, thread_only=True),
        c.Edit(channel=direct, seq=1, text="hello again"),
        c.React(channel=direct, seq=1, emoji="👍"),
        c.Pin(channel=direct, seq=1),
        c.Typing(channel=direct),
        c.Delete(channel=direct, seq=1),
        c.Send(channel=direct, text="hello"),
        c.MuteUser(channel=room, name=name),
        c.Unmute(channel=room, name=name),
        c.Kick(channel=room, name=name),
        c.Invite(channel=room, name=name),
        c.Ban(channel=room, name=name),
        *(c.Who(channel=each) for each in (room, den, direct)),
        *(c.History(channel=each) for each in (room, den, direct)),
        *(c.Search(channel=each, query="hello") for each in (room, den, direct)),
        c.Search(query="hello", author=name),
        c.Channels(cursor=room[:-1]),
        c.SetStatus(status="busy"),
    ]


@pytest.mark.promise(
    7,
    fault="an ignored user writes to, mentions, invites and moderates who ignores them",
    result="the same bytes as towards somebody who does not",
)
async def test_ignored_user_gets_the_same_bytes(start_server: Callable[..., ChatServer]) -> None:
    seen = [await _seen_by_mallory(start_server(), is_ignored=each) for each in (True, False)]
    assert len(seen[0]) > len(approaches("", "", "", ""))
    for ignored, heeded in zip(*seen, strict=True):
        assert ignored == heeded


async def _seen_by_mallory(server: ChatServer, *, is_ignored: bool) -> list[object]:
    """Return all frames that mallory gets while they approach bob, without ids and times."""
    async with raw(server, "mallory") as mallory, Peer.signed_in(server.url, "bob") as bob:
        if is_ignored:
            await bob.call(commands.Ignore(name="mallory"))
        for command in approaches("#room", "#den", "@bob,mallory", "bob"):
            await mallory.answer(command)
            if isinstance(command, commands.Create) and not command.private:
                await bob.join(command.channel)
        await bob.settle()
        await mallory.answer(commands.Ping())
        decoded = [json.loads(each) for each in mallory.received]
        by_timer = ("presence", "typing")  # their place among the other frames varies
        return [_without_ids(each) for each in decoded if each["type"] not in by_timer]


def _without_ids(value: object) -> object:
    if isinstance(value, dict):
        varying = ("mid", "ts", "epoch", "created", "token", "session", "server")
        return {key: _without_ids(each) for key, each in value.items() if key not in varying}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value


async def test_guessing_names_of_private_channels_is_limited(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.channels", "5")
    async with (
        Peer.signed_in(server.url, "owner") as owner,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        await owner.call(commands.Create(channel="#private", private=True), frames.Joined)
        codes = []
        for _ in range(8):
            error = await mallory.call(commands.Join(channel="#private"), frames.ErrorFrame)
            codes.append(error.code)
        assert codes[0] == "name_unavailable"
        assert codes[-1] == "rate_limited"
        assert error.retry_after


async def test_mention_of_an_outsider_reaches_nobody(shared: ChatServer, fresh: Fresh) -> None:
    there, name = fresh("#private"), fresh("mallory")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, name) as outsider,
    ):
        await owner.call(commands.Create(channel=there, private=True), frames.Joined)
        await owner.say(f"hello @{name}", there)
        sent = await owner.next_event(there, "message")
        assert sent.mentions == ()
        await outsider.settle()
        assert not [each for each in outsider.received if there in each.model_dump_json()]


async def test_public_channel_that_becomes_private_disappears_at_once(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, member = fresh("#room"), fresh("bob")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, member) as bob,
        Peer.signed_in(shared.url, fresh("zoe")) as zoe,
    ):
        await owner.join(room)
        await bob.join(room)
        first = commands.Channels(cursor=room[:-1])
        listed = await zoe.call(first, frames.ChannelList)
        assert room in [each.channel for each in listed.channels]
        await owner.call(commands.ChangeChannel(channel=room, private=True))
        changed = await bob.next_event(room, "settings")
        assert changed.settings is not None
        assert changed.settings.private
        listed = await zoe.call(first, frames.ChannelList)
        assert room not in [each.channel for each in listed.channels]
        error = await zoe.call(commands.Join(channel=room), frames.ErrorFrame)
        assert error.code == "name_unavailable"
        again = commands.ChangeChannel(channel=room, private=False)
        assert isinstance(await owner.call(again, frames.ErrorFrame), frames.ErrorFrame)
