"""Rights in channels: every command that names one, by everybody, in every state of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from chat.protocol import commands
from chat.protocol.commands import Command
from chat.protocol.frames import ErrorFrame
from chat.protocol.values import Wire
from chat.rights import DEFAULT, RIGHTS, ChannelSettings, Right, Standing, rights_of
from tests.protocol.strategies import COMMANDS
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]

STATES: Mapping[str, ChannelSettings] = {
    "public": DEFAULT,
    "reserved": ChannelSettings("moderators", "moderators", "moderators", "moderators"),
    "archived": DEFAULT._replace(archived=True),
    "private": DEFAULT._replace(private=True),
    "private-archived": DEFAULT._replace(private=True, archived=True),
}
RESERVED = ("posting", "invites", "topic", "pins")
GIVE: Mapping[Standing, Callable[[str, str], Command]] = {
    "moderator": lambda channel, name: commands.SetRole(
        channel=channel, name=name, role="moderator"
    ),
    "muted": lambda channel, name: commands.MuteUser(channel=channel, name=name, reason="spam"),
    "invited": lambda channel, name: commands.Invite(channel=channel, name=name),
    "banned": lambda channel, name: commands.Ban(channel=channel, name=name, reason="spam"),
}
"""What the owner does to give a user a standing."""
TARGETS = 5


@dataclass
class Room:
    """A channel, its owner, and the user whose rights are tested."""

    name: str
    settings: ChannelSettings
    owner: Peer
    actor: Peer
    actor_name: str
    banned: str
    """A user who is banned from the channel."""
    targets: Iterator[str]
    """Members on whom one may act; each is used once."""
    strangers: Iterator[str]
    """Users who are no members and have no invitation."""
    own: Iterator[int]
    """Messages of the actor, or of the owner if the actor could not send any."""
    other: int
    """A message of another member."""


ACTS: tuple[tuple[str, Right, Callable[[Room], Command]], ...] = (
    ("history", "read", lambda r: commands.History(channel=r.name)),
    ("who", "read", lambda r: commands.Who(channel=r.name)),
    ("search", "read", lambda r: commands.Search(channel=r.name, query="hello")),
    ("mark", "read", lambda r: commands.Mark(channel=r.name, seq=1)),
    ("mark thread", "read", lambda r: commands.Mark(channel=r.name, seq=1, thread=r.other)),
    ("follow", "read", lambda r: commands.Follow(channel=r.name, thread=r.other)),
    ("send", "send", lambda r: commands.Send(channel=r.name, text="hello")),
    (
        "send reply",
        "send",
        lambda r: commands.Send(channel=r.name, text="x", reply_to=r.other, thread_only=True),
    ),
    ("edit", "send", lambda r: commands.Edit(channel=r.name, seq=next(r.own), text="edited")),
    ("react", "send", lambda r: commands.React(channel=r.name, seq=r.other, emoji="👍")),
    ("delete own", "leave", lambda r: commands.Delete(channel=r.name, seq=next(r.own))),
    ("prefer", "leave", lambda r: commands.Prefer(channel=r.name, muted=True)),
    ("pin", "pin", lambda r: commands.Pin(channel=r.name, seq=r.other)),
    ("topic", "topic", lambda r: commands.SetTopic(channel=r.name, topic="news")),
    ("invite", "invite", lambda r: commands.Invite(channel=r.name, name=next(r.strangers))),
    ("delete other", "moderate", lambda r: commands.Delete(channel=r.name, seq=r.other)),
    ("kick", "moderate", lambda r: commands.Kick(channel=r.name, name=next(r.targets))),
    ("ban", "moderate", lambda r: commands.Ban(channel=r.name, name=next(r.targets))),
    ("unban", "moderate", lambda r: commands.Unban(channel=r.name, name=r.banned)),
    ("bans", "moderate", lambda r: commands.ListBans(channel=r.name)),
    ("mute", "moderate", lambda r: commands.MuteUser(channel=r.name, name=next(r.targets))),
    ("unmute", "moderate", lambda r: commands.Unmute(channel=r.name, name=next(r.targets))),
    (
        "role",
        "roles",
        lambda r: commands.SetRole(channel=r.name, name=next(r.targets), role="moderator"),
    ),
    ("channel", "settings", lambda r: commands.ChangeChannel(channel=r.name, retention=0)),
    (
        "archive",
        "settings",
        lambda r: commands.Archive(channel=r.name, remove=not r.settings.archived),
    ),
)
"""The command, the right that it needs, and how to make it. The actor stays what it was."""
LAST: tuple[tuple[str, Right, Callable[[Room], Command]], ...] = (
    ("delete_channel", "settings", lambda r: commands.DeleteChannel(channel=r.name)),
    ("leave", "leave", lambda r: commands.Leave(channel=r.name)),
)
"""What ends the actor's membership."""
WITHOUT_RIGHT = {"hello", "join", "create", "decline", "uninvite", "typing"}
"""Commands that a right does not decide; they are tested on their own."""


def test_every_command_that_names_a_channel_is_walked() -> None:
    walked = {name.split()[0] for name, _, _ in (*ACTS, *LAST)}
    naming = {
        model.model_fields["type"].default
        for model in COMMANDS
        if "channel" in model.model_fields or "resume" in model.model_fields
    }
    assert naming == walked | WITHOUT_RIGHT
    assert {right for _, right, _ in ACTS} | {"typing"} == set(RIGHTS["owner"])


async def done(peer: Peer, command: Command) -> Wire:
    """Return the answer to a command, which is not refused."""
    found = await peer.call(command, Wire)
    assert not isinstance(found, ErrorFrame), (command, found)
    return found


@asynccontextmanager
async def opened(
    server: ChatServer, fresh: Fresh, settings: ChannelSettings, standing: Standing
) -> AsyncIterator[Room]:
    """Open a channel with these settings, and an actor with this standing."""
    async with AsyncExitStack() as stack:

        async def sign_in(stem: str) -> tuple[str, Peer]:
            name = fresh(stem)
            return name, await stack.enter_async_context(Peer.signed_in(server.url, name))

        name = fresh("#walk")
        owner_name, owner = await sign_in("owner")
        await done(owner, commands.Create(channel=name, private=settings.private))

        async def member(stem: str) -> tuple[str, Peer]:
            new, peer = await sign_in(stem)
            await done(owner, commands.Invite(channel=name, name=new))
            await peer.join(name)
            return new, peer

        targets = [await member("target") for _ in range(TARGETS)]
        strangers = [(await sign_in("stranger"))[0] for _ in range(2)]
        other = (await targets[0][1].say("hello", name)).seq
        assert other is not None
        banned, _ = await sign_in("banned")
        await done(owner, commands.Ban(channel=name, name=banned, reason="spam"))
        if standing == "owner":
            actor_name, actor = owner_name, owner
        elif RIGHTS[standing]:
            actor_name, actor = await member(standing)
        else:
            actor_name, actor = await sign_in(standing)
        author = actor if RIGHTS[standing] else owner
        own = [(await author.say("mine", name)).seq for _ in range(2)]
        if standing in GIVE:
            await done(owner, GIVE[standing](name, actor_name))
        reserved = {field: getattr(settings, field) for field in RESERVED}
        await done(owner, commands.ChangeChannel(channel=name, **reserved))
        if settings.archived:
            await done(owner, commands.Archive(channel=name))
        yield Room(
            name,
            settings,
            owner,
            actor,
            actor_name,
            banned,
            iter([each for each, _ in targets]),
            iter(strangers),
            iter([seq for seq in own if seq is not None]),
            other,
        )


@pytest.mark.promise(
    7,
    fault="somebody without a right uses any command that names a channel, in any state of it",
    result="the refusal that the table of rights says; nothing changes",
)
@pytest.mark.feature("server.moderation")
@pytest.mark.parametrize("standing", RIGHTS)
@pytest.mark.parametrize("state", STATES)
async def test_rights_are_those_of_the_table(
    shared: ChatServer, fresh: Fresh, state: str, standing: Standing
) -> None:
    settings = STATES[state]
    async with opened(shared, fresh, settings, standing) as room:
        granted = rights_of(standing, settings)
        if granted:
            joined = await room.actor.join(room.name)
            assert set(joined.rights) == granted
        for name, right, make in (*ACTS, *LAST):
            command = make(room)
            assert command.type == name.split()[0]
            found = await room.actor.call(command, Wire)
            if right in granted:
                assert not isinstance(found, ErrorFrame), (name, found)
                if name == "delete_channel":
                    return
            else:
                assert isinstance(found, ErrorFrame), (name, found)
                assert found.code in refusals(standing, settings), (name, found)


def refusals(standing: Standing, settings: ChannelSettings) -> set[str]:
    """Return the codes with which a command may be refused."""
    if not RIGHTS[standing]:
        return {"no_such_channel"} if settings.private else {"not_a_member"}
    codes = {"forbidden"}
    if settings.archived:
        codes.add("archived")
    return codes | {"muted"} if standing == "muted" else codes
