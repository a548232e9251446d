"""Kicks, bans, mutes and roles act at once: in all sessions, in a queue, after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from chat.protocol.commands import (
    Archive,
    Ban,
    ChangeChannel,
    Command,
    Create,
    Delete,
    DeleteChannel,
    Invite,
    Join,
    Kick,
    Leave,
    ListBans,
    MuteUser,
    Pin,
    Send,
    SetRole,
    Typing,
    Unban,
    Unmute,
    Who,
)
from chat.protocol.frames import (
    Bans,
    ErrorFrame,
    Heads,
    Joined,
    Members,
    Ok,
    PresenceFrame,
    Removed,
    TypingFrame,
)
from chat.protocol.items import Event
from chat.protocol.values import Wire
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


def soon() -> int:
    """Return a time that has come before a test can wait for anything, in ms."""
    return time.time_ns() // 1_000_000 + 300


async def pipelined(peer: Peer, commands: list[Command]) -> list[Wire]:
    """Send commands without waiting; return their answers."""
    ids = [await peer.post(each) for each in commands]
    await peer.until(
        lambda: {*ids} <= {getattr(each, "id", None) for each in peer.received}, "the answers"
    )
    answers = {getattr(each, "id", None): each for each in peer.received}
    return [answers[each] for each in ids]


@pytest.mark.parametrize("act", ["kick", "ban"])
async def test_removal_ends_the_membership_in_all_sessions_in_order(
    shared: ChatServer, fresh: Fresh, act: str
) -> None:
    room, m, boss = fresh("#room"), fresh("mallory"), fresh("owner")
    async with (
        Peer.signed_in(shared.url, boss) as owner,
        Peer.signed_in(shared.url, m) as phone,
        Peer.signed_in(shared.url, m, phone.token) as laptop,
    ):
        await owner.join(room)
        await phone.join(room)
        await laptop.next(Joined, lambda each: each.channel == room)
        until = time.time_ns() // 1_000_000 + 60_000 if act == "ban" else None
        command: Command = Kick(channel=room, name=m, reason="spam")
        if act == "ban":
            command = Ban(channel=room, name=m, reason="spam", until=until)
        answers = await pipelined(
            owner,
            [Send(channel=room, text="before"), command, Send(channel=room, text="after")],
        )
        assert {type(each) for each in answers} == {Ok}
        left = await owner.next_event(room, "leave")
        assert (left.author, left.by, left.act) == (m, boss, act)
        assert (left.reason, left.until) == ("spam", until)
        for device in (phone, laptop):
            removed = await device.next(Removed)
            assert (removed.channel, removed.act, removed.by) == (room, act, boss)
            assert (removed.reason, removed.until) == ("spam", until)
            frames = [each for each in device.received if getattr(each, "channel", "") == room]
            kinds = [getattr(each, "kind", each.type) for each in frames]
            assert kinds[kinds.index("leave") + 1] == "removed"
            assert "after" not in [getattr(each, "text", None) for each in frames]
        members = await owner.call(Who(channel=room), Members)
        assert [each.name for each in members.members] == [boss]


async def test_removed_user_is_offline_in_the_channel(shared: ChatServer, fresh: Fresh) -> None:
    room, m = fresh("#room"), fresh("mallory")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, m) as mallory,
    ):
        await owner.join(room)
        await mallory.join(room)
        await owner.next(PresenceFrame, lambda each: each.users.get(m) == "online")
        await owner.call(Kick(channel=room, name=m))
        await owner.next(PresenceFrame, lambda each: each.users.get(m) == "offline")


async def test_what_a_removed_user_has_queued_is_refused(shared: ChatServer, fresh: Fresh) -> None:
    room, m = fresh("#room"), fresh("mallory")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, m) as mallory,
    ):
        await owner.join(room)
        await mallory.join(room)
        sending = asyncio.create_task(
            pipelined(mallory, [Send(channel=room, text=f"{n}") for n in range(60)])
        )
        await owner.call(Ban(channel=room, name=m))
        answers = await sending
        refused = [isinstance(each, ErrorFrame) for each in answers]
        assert refused == sorted(refused)  # none is stored after the first refusal
        assert {each.code for each in answers if isinstance(each, ErrorFrame)} <= {"not_a_member"}
        error = await mallory.call(Join(channel=room), ErrorFrame)
        assert (error.code, error.field) == ("banned", "channel")
        joined = await owner.follow(room)
        assert joined.items[-1].kind == "leave"


async def test_acts_count_for_the_commands_behind_them(shared: ChatServer, fresh: Fresh) -> None:
    room, m, o = fresh("#room"), fresh("mod"), fresh("other")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, m) as mod,
        Peer.signed_in(shared.url, o) as other,
    ):
        await owner.join(room)
        await mod.join(room)
        await other.join(room)
        await other.say("x", room)
        answers = await pipelined(
            owner,
            [
                SetRole(channel=room, name=m, role="moderator"),
                SetRole(channel=room, name=m, role="owner"),
                SetRole(channel=room, name=o, role="moderator"),  # no longer the owner
                MuteUser(channel=room, name=o),
                Kick(channel=room, name=m),  # the owner now
            ],
        )
        codes = [getattr(each, "code", "ok") for each in answers]
        assert codes == ["ok", "ok", "forbidden", "ok", "forbidden"]
        error = await other.call(Send(channel=room, text="y"), ErrorFrame)
        assert error.code == "muted"
        answers = await pipelined(
            mod,
            [
                ChangeChannel(channel=room, posting="moderators"),
                Unmute(channel=room, name=o),
                SetRole(channel=room, name=o, role="moderator"),
            ],
        )
        assert {type(each) for each in answers} == {Ok}
        await other.say("z", room)


async def test_owner_who_is_demoted_while_leaving_leaves_an_owner(
    shared: ChatServer, fresh: Fresh
) -> None:
    a, b = fresh("alice"), fresh("bob")
    async with Peer.signed_in(shared.url, a) as alice, Peer.signed_in(shared.url, b) as bob:
        for _ in range(6):
            room = fresh("#room")
            await alice.join(room)
            await bob.join(room)
            await asyncio.gather(
                alice.call(SetRole(channel=room, name=b, role="owner"), Wire),
                alice.call(Leave(channel=room), Wire),
                bob.call(Leave(channel=room), Wire),
                bob.call(Join(channel=room), Wire),
            )
            page = await bob.call(Who(channel=room), Members)
            assert [(each.name, each.role) for each in page.members] == [(b, "owner")]


async def test_moderators_act_on_members_only(shared: ChatServer, fresh: Fresh) -> None:
    room, boss = fresh("#room"), fresh("owner")
    a, b, m = fresh("mod"), fresh("mod"), fresh("member")
    async with (
        Peer.signed_in(shared.url, boss) as owner,
        Peer.signed_in(shared.url, a) as mod,
        Peer.signed_in(shared.url, b) as mod2,
        Peer.signed_in(shared.url, m) as member,
    ):
        for peer in (owner, mod, mod2, member):
            await peer.join(room)
        for name in (a, b):
            await owner.call(SetRole(channel=room, name=name, role="moderator"))
        for kind in (Kick, Ban, MuteUser):
            for name in (a, b, boss):
                error = await mod.call(kind(channel=room, name=name), ErrorFrame)
                assert error.code == "forbidden"
            error = await owner.call(kind(channel=room, name=boss), ErrorFrame)
            assert error.code == "forbidden"
        # A muted moderator is no moderator.
        await owner.call(MuteUser(channel=room, name=a))
        for command in (Kick(channel=room, name=m), Unmute(channel=room, name=a)):
            assert (await mod.call(command, ErrorFrame)).code == "muted"
        await mod2.call(Ban(channel=room, name=m, reason="spam"))
        bans = await mod2.call(ListBans(channel=room), Bans)
        assert [(each.name, each.by, each.reason) for each in bans.bans] == [(m, b, "spam")]
        assert bans.channel == room
        await mod2.call(Unban(channel=room, name=m))
        lifted = await owner.next_event(room, "ban")
        assert (lifted.user, lifted.remove) == (m, True)
        await member.join(room)


async def test_typing_of_who_may_not_send_is_not_shown(shared: ChatServer, fresh: Fresh) -> None:
    room, m, boss = fresh("#room"), fresh("mallory"), fresh("owner")

    async def shown(*names: str) -> None:
        await owner.next(TypingFrame, lambda each: each.channel == room and each.users == names)

    async with (
        Peer.signed_in(shared.url, boss) as owner,
        Peer.signed_in(shared.url, m) as mallory,
    ):
        await owner.join(room)
        await mallory.join(room)
        await mallory.call(Typing(channel=room))
        await shown(m)
        await owner.call(MuteUser(channel=room, name=m))
        await shown()
        await mallory.call(Typing(channel=room))
        await owner.call(Typing(channel=room))  # also shown, so the other would be
        await shown(boss)
        await owner.call(Typing(channel=room, state="stop"))
        await shown()
        await owner.call(Unmute(channel=room, name=m))
        await mallory.next_event(room, "mute")
        await mallory.call(Typing(channel=room))
        await shown(m)
        await owner.call(ChangeChannel(channel=room, posting="moderators"))
        await shown()


async def test_durations_end_by_themselves_also_over_a_restart(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server()
    tokens = {}
    async with (
        Peer.signed_in(server.url, "owner") as owner,
        Peer.signed_in(server.url, "muted") as muted,
        Peer.signed_in(server.url, "banned") as banned,
    ):
        await owner.join("#room")
        tokens = {"owner": owner.token, "muted": muted.token, "banned": banned.token}
        await muted.join("#room")
        until = time.time_ns() // 1_000_000 + 3_600_000
        await owner.call(MuteUser(channel="#room", name="muted", until=until))
        await owner.call(Ban(channel="#room", name="banned", until=until))
        joined = await muted.join("#room")
        assert joined.mute is not None
        assert joined.mute.until == until
        assert "send" not in joined.rights
    server.restart(kill=True)
    async with (
        Peer.signed_in(server.url, "muted", tokens["muted"]) as muted,
        Peer.signed_in(server.url, "banned", tokens["banned"]) as banned,
    ):
        assert muted.welcome is not None
        (room,) = [each for each in muted.welcome.channels if each.channel == "#room"]
        assert room.mute is not None
        error = await muted.call(Send(channel="#room", text="x"), ErrorFrame)
        assert error.code == "muted"
        error = await banned.call(Join(channel="#room"), ErrorFrame)
        assert error.code == "banned"
    server.stop()
    # An hour later, as the clock says.
    with closing(sqlite3.connect(server.data / "chat.db")) as connection, connection:
        for table in ("mutes", "channel_bans"):
            connection.execute(f"UPDATE {table} SET until = until - 3600000")
    server.start()
    async with (
        Peer.signed_in(server.url, "muted", tokens["muted"]) as muted,
        Peer.signed_in(server.url, "banned", tokens["banned"]) as banned,
    ):
        joined = await muted.join("#room")
        assert joined.mute is None
        await muted.say("back", "#room")
        await banned.join("#room")


async def test_short_durations_end_in_a_running_server(shared: ChatServer, fresh: Fresh) -> None:
    room, m = fresh("#room"), fresh("mallory")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, m) as mallory,
    ):
        await owner.join(room)
        await mallory.join(room)
        await owner.call(MuteUser(channel=room, name=m, until=soon()))
        answers = [await mallory.call(Send(channel=room, text="x"), Wire)]
        while isinstance(answers[-1], ErrorFrame):
            assert answers[-1].code == "muted"
            answers.append(await mallory.call(Send(channel=room, text="x"), Wire))
        await owner.call(Ban(channel=room, name=m, until=soon()))
        answers = [await mallory.call(Join(channel=room), Wire)]
        while isinstance(answers[-1], ErrorFrame):
            assert answers[-1].code == "banned"
            answers.append(await mallory.call(Join(channel=room), Wire))


async def test_deleted_channel_ends_for_everybody_and_frees_its_name(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, boss = fresh("#room"), fresh("owner")
    async with (
        Peer.signed_in(shared.url, boss) as owner,
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        for peer in (owner, alice):
            await peer.join(room)
            await peer.say("hello", room)
        await owner.call(DeleteChannel(channel=room))
        for peer in (owner, alice):
            await peer.next_event(room, "deleted")
            removed = await peer.next(Removed)
            assert (removed.channel, removed.act, removed.by) == (room, "deleted", boss)
        error = await alice.call(Send(channel=room, text="x"), ErrorFrame)
        assert error.code == "no_such_channel"
        assert not bob.kept(Removed)
        joined = await bob.join(room)
        assert (joined.role, joined.head) == ("owner", 1)
        again = await alice.join(room)
        assert (again.role, again.head) == ("member", 2)
        await bob.say("new", room)
        event = await alice.next(Event, lambda each: each.text == "new")
        assert event.seq == 3


async def test_general_belongs_to_the_admins(start_server: Callable[..., ChatServer]) -> None:
    server = start_server()
    async with (
        Peer.signed_in(server.url, "first") as first,
        Peer.signed_in(server.url, "ada") as admin,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        server.administer("user", "role", "ada", "admin")
        joined = await first.join("#general")
        assert joined.role == "member"
        assert "settings" not in joined.rights
        error = await first.call(Kick(channel="#general", name="mallory"), ErrorFrame)
        assert error.code == "forbidden"
        joined = await admin.join("#general")
        assert joined.role == "owner"
        await admin.call(Kick(channel="#general", name="mallory", reason="spam"))
        assert (await mallory.next(Removed)).act == "kick"
        for command in (
            ChangeChannel(channel="#general", private=True),
            Archive(channel="#general"),
            DeleteChannel(channel="#general"),
        ):
            assert (await admin.call(command, ErrorFrame)).code == "forbidden"


async def test_empty_private_channel_is_gone(shared: ChatServer, fresh: Fresh) -> None:
    room, a = fresh("#private"), fresh("alice")
    async with (
        Peer.signed_in(shared.url, a) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.call(Create(channel=room, private=True), Joined)
        await alice.say("secret", room)
        await alice.call(Leave(channel=room))
        error = await alice.call(Send(channel=room, text="x"), ErrorFrame)
        assert error.code == "no_such_channel"
        joined = await bob.join(room)
        assert (joined.role, joined.head) == ("owner", 1)


async def test_channels_are_created_as_the_server_allows(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--channel-creation", "admins", "--reserved-channels", "#Ops")
    async with (
        Peer.signed_in(server.url, "ada") as admin,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        server.administer("user", "role", "ada", "admin")
        for command in (Join(channel="#new"), Create(channel="#new")):
            error = await mallory.call(command, ErrorFrame)
            assert error.code == "forbidden"
        for command in (Join(channel="#ops"), Create(channel="#OPS", private=True)):
            error = await admin.call(command, ErrorFrame)
            assert error.code == "name_unavailable"
        assert (await admin.join("#new")).role == "owner"
        assert (await mallory.join("#new")).role == "member"
        assert "channel_creation=admins" in server.administer("audit").stdout


async def test_direct_channels_have_no_moderation(shared: ChatServer, fresh: Fresh) -> None:
    a, b = fresh("alice"), fresh("bob")
    direct = f"@{a},{b}"
    async with (
        Peer.signed_in(shared.url, a) as alice,
        Peer.signed_in(shared.url, b) as bob,
        Peer.signed_in(shared.url, fresh("carol")) as carol,
    ):
        await alice.say("hi", direct)
        joined = await bob.next(Joined, lambda each: each.channel == direct)
        assert {*joined.rights} == {"read", "send", "leave", "typing", "pin", "topic"}
        commands: list[Command] = [
            Kick(channel=direct, name=b),
            Ban(channel=direct, name=b),
            MuteUser(channel=direct, name=b),
            SetRole(channel=direct, name=b, role="moderator"),
            ChangeChannel(channel=direct, posting="moderators"),
            Archive(channel=direct),
            DeleteChannel(channel=direct),
            Invite(channel=direct, name=a),
            Delete(channel=direct, seq=1),
        ]
        for command in commands:
            assert (await bob.call(command, ErrorFrame)).code == "forbidden", command
            assert (await carol.call(command, ErrorFrame)).code == "no_such_channel", command
        await bob.call(Pin(channel=direct, seq=1))
        assert not carol.kept(Event)
        assert not [each for each in carol.kept(Heads) if direct in each.heads]
