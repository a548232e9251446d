"""Private channels, moderation, ignored users and threads, with real clients and a real server."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.model.membership import now_ms
from chat.client.model.state import MembershipEnded, Message
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import (
    Archive,
    Ban,
    ChangeChannel,
    Create,
    Decline,
    DeleteChannel,
    Follow,
    Ignore,
    Invite,
    Join,
    Kick,
    Leave,
    MuteUser,
    SetRole,
    Unmute,
)
from chat.protocol.frames import Joined
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer

Open = Callable[..., Screen]
PLANS = "#plans"


def ask(screen: Screen, command: object) -> object:
    return screen.core.ask(command).result(PATIENCE)  # type: ignore[arg-type]  # any command


def code_of(screen: Screen, command: object) -> ErrorCode:
    with pytest.raises(CommandError) as refused:
        ask(screen, command)
    return refused.value.code


@pytest.fixture
def people(server: ChatServer, open_client: Open) -> dict[str, Screen]:
    """Return olga, who owns the private channel, max, who moderates it, and bob, a member."""
    people = {name: open_client(server.url, name) for name in ("olga", "max", "bob")}
    for screen in people.values():
        screen.open()
    olga = people["olga"]
    ask(olga, Create(channel=PLANS, private=True, topic="what we do"))
    for name in ("max", "bob"):
        ask(olga, Invite(channel=PLANS, name=name))
        people[name].wait(lambda name=name: bool(people[name].invitations))  # type: ignore[misc]
        ask(people[name], Join(channel=PLANS))
    ask(olga, SetRole(channel=PLANS, name="max", role="moderator"))
    for screen in people.values():
        screen.open(PLANS)
    people["max"].wait(lambda: people["max"].channels[PLANS].role == "moderator")
    return people


def events(screen: Screen, kind: str) -> list[Message]:
    return [line for line in screen.lines(PLANS) if line.kind == kind]


def rights_agree(screen: Screen, channel: str = PLANS) -> bool:
    """Whether the client's rights are those that the server sends."""
    joined = ask(screen, Join(channel=channel))
    assert isinstance(joined, Joined)
    return set(joined.rights) == screen.channels[channel].rights(now_ms())


@pytest.mark.feature("around.channels")
def test_a_private_channel_is_created_and_entered_by_invitation(people: dict[str, Screen]) -> None:
    info = people["bob"].channels[PLANS]
    assert (info.role, info.topic, info.settings.private) == ("member", "what we do", True)
    people["bob"].wait(lambda: people["bob"].invitations == ())
    assert [each.by for each in people["bob"].new_invitations] == ["olga"]


def test_a_declined_invitation_disappears(
    people: dict[str, Screen], server: ChatServer, open_client: Open
) -> None:
    eve = open_client(server.url, "eve")
    eve.open()
    ask(people["olga"], Invite(channel=PLANS, name="eve"))
    eve.wait(lambda: [each.channel for each in eve.invitations] == [PLANS])
    ask(eve, Decline(channel=PLANS))
    eve.wait(lambda: eve.invitations == ())
    assert PLANS not in eve.channels


def test_rights_are_those_of_the_server(people: dict[str, Screen]) -> None:
    olga, bob = people["olga"], people["bob"]
    for screen in people.values():
        assert rights_agree(screen)
        assert rights_agree(screen, "#general")
    ask(olga, MuteUser(channel=PLANS, name="bob", reason="loud"))
    bob.wait(lambda: bob.channels[PLANS].mute is not None)
    assert rights_agree(bob)
    ask(olga, Unmute(channel=PLANS, name="bob"))
    ask(olga, ChangeChannel(channel=PLANS, posting="moderators", topic="moderators"))
    bob.wait(lambda: bob.channels[PLANS].settings.posting == "moderators")
    assert bob.channels[PLANS].mute is None
    for screen in people.values():
        assert rights_agree(screen)
    ask(olga, Archive(channel=PLANS))
    bob.wait(lambda: bob.channels[PLANS].settings.archived)
    for screen in people.values():
        screen.wait(lambda screen=screen: screen.channels[PLANS].settings.archived)  # type: ignore[misc]
        assert rights_agree(screen)
    ask(bob, Join(channel="@bob,olga"))
    bob.core.send("@bob,olga", "hello")
    bob.wait(lambda: "@bob,olga" in bob.channels)
    assert rights_agree(bob, "@bob,olga")


def test_a_mute_stops_messages_and_ends_by_itself(people: dict[str, Screen]) -> None:
    bob = people["bob"]
    ask(people["max"], MuteUser(channel=PLANS, name="bob", reason="loud"))
    bob.wait(lambda: bob.channels[PLANS].mute is not None)
    (line,) = events(bob, "mute")
    assert line.moderation is not None
    assert (line.author, line.moderation.user, line.moderation.reason) == ("max", "bob", "loud")
    cid = bob.core.send(PLANS, "let me speak")
    bob.wait(lambda: bob.channels[PLANS].failed == 1)
    until = int(time.time() * 1000) + 2_000
    ask(people["max"], MuteUser(channel=PLANS, name="bob", until=until, reason="loud"))
    bob.wait(lambda: len(events(bob, "mute")) == 2)
    bob.wait(lambda: "send" in bob.channels[PLANS].rights(now_ms()), "the mute is over")
    bob.core.retry(cid)
    people["olga"].wait(lambda: "let me speak" in people["olga"].texts(PLANS))


@pytest.mark.feature("around.moderation")
def test_a_kicked_member_is_told_and_forgets_the_lines(
    people: dict[str, Screen], tmp_path: Path
) -> None:
    bob, olga = people["bob"], people["olga"]
    olga.core.send(PLANS, "the secret plan")
    bob.wait_texts("the secret plan", channel=PLANS)
    ask(people["max"], Kick(channel=PLANS, name="bob", reason="spam"))
    bob.wait(lambda: bool(bob.ended) and PLANS not in bob.channels)
    assert bob.ended == [MembershipEnded(PLANS, "kick", "max", None, "spam")]
    assert bob.lines(PLANS) == []
    olga.wait(lambda: bool(events(olga, "leave")))
    (line,) = events(olga, "leave")
    assert line.moderation is not None
    assert (line.author, line.moderation.act, line.moderation.by) == ("bob", "kick", "max")
    assert code_of(bob, Join(channel=PLANS)) is ErrorCode.NAME_UNAVAILABLE
    bob.stop()
    for file in (tmp_path / "data-bob").rglob("cache.db*"):
        assert b"the secret plan" not in file.read_bytes()


def test_a_member_kicked_while_offline_is_told_at_the_next_start(
    server: ChatServer, open_client: Open
) -> None:
    olga, bob = (open_client(server.url, name) for name in ("olga", "bob"))
    olga.open()
    bob.open()
    ask(olga, Create(channel="#tea"))
    ask(bob, Join(channel="#tea"))
    bob.wait(lambda: "#tea" in bob.channels)
    bob.stop()
    ask(olga, Kick(channel="#tea", name="bob", reason="spam"))
    bob = open_client(server.url, "bob")
    bob.open()
    bob.wait(lambda: bool(bob.ended))
    assert bob.ended == [MembershipEnded("#tea", "kick", "olga", None, "spam")]
    bob.wait(lambda: "#tea" not in bob.channels)


def test_a_banned_member_cannot_join_and_learns_why(server: ChatServer, open_client: Open) -> None:
    olga, bob = (open_client(server.url, name) for name in ("olga", "bob"))
    olga.open()
    bob.open()
    ask(olga, Create(channel="#tea"))
    ask(bob, Join(channel="#tea"))
    until = int(time.time() * 1000) + 3_600_000
    ask(olga, Ban(channel="#tea", name="bob", until=until, reason="spam"))
    bob.wait(lambda: bool(bob.ended))
    assert bob.ended == [MembershipEnded("#tea", "ban", "olga", until, "spam")]
    assert code_of(bob, Join(channel="#tea")) is ErrorCode.BANNED


def test_a_departed_owner_leaves_the_channel_to_the_moderator(people: dict[str, Screen]) -> None:
    ask(people["olga"], Leave(channel=PLANS))
    people["max"].wait(lambda: people["max"].channels[PLANS].role == "owner")
    people["bob"].wait(lambda: bool(events(people["bob"], "role")))
    assert people["max"].channels[PLANS].rights(0) >= {"roles", "settings", "moderate"}
    assert rights_agree(people["max"])


def test_a_deleted_channel_is_gone_for_everyone(people: dict[str, Screen]) -> None:
    ask(people["olga"], DeleteChannel(channel=PLANS))
    for screen in people.values():
        screen.wait(lambda screen=screen: PLANS not in screen.channels)  # type: ignore[misc]
    people["bob"].wait(lambda: bool(people["bob"].ended))
    assert [(each.act, each.by) for each in people["bob"].ended] == [("deleted", "olga")]


@pytest.mark.feature("around.ignore")
def test_an_ignored_person_neither_counts_nor_notifies(
    server: ChatServer, open_client: Open
) -> None:
    alice, mallory = (open_client(server.url, name) for name in ("alice", "mallory"))
    alice.open()
    mallory.open()
    ask(alice, Ignore(name="mallory"))
    alice.wait(lambda: alice.ignored == ("mallory",))
    mallory.core.send("#general", "look here @alice")
    alice.wait(lambda: "look here @alice" in alice.texts())
    assert (alice.channels["#general"].unread, alice.channels["#general"].mentions) == (0, 0)
    assert alice.called == []
    alice.stop()
    again = open_client(server.url, "alice")
    again.open()
    assert again.ignored == ("mallory",)
    assert again.channels["#general"].unread == 0


@pytest.mark.feature("reading.follow")
def test_a_thread_stays_out_of_the_channel_and_is_followed(people: dict[str, Screen]) -> None:
    olga, bob, moderator = people["olga"], people["bob"], people["max"]
    olga.core.send(PLANS, "root")
    bob.wait_texts("root", channel=PLANS)
    (root,) = [line.seq for line in bob.lines(PLANS) if line.text == "root"]
    assert root is not None
    bob.core.send(PLANS, "a reply", reply_to=root, thread_only=True)
    olga.wait(lambda: olga.channels[PLANS].unread_replies == 1)
    assert [due.thread_only for due in olga.called] == [True]
    assert olga.texts(PLANS) == ["root"]
    moderator.wait(lambda: [*moderator.timelines[PLANS].replies] != [])
    assert moderator.channels[PLANS].unread_replies == 0
    assert moderator.channels[PLANS].unread == 1
    ask(moderator, Follow(channel=PLANS, thread=root))
    bob.core.send(PLANS, "another", reply_to=root, thread_only=True)
    moderator.wait(lambda: moderator.channels[PLANS].unread_replies == 1)
    olga.wait(lambda: olga.channels[PLANS].unread_replies == 2)
    olga.core.open_thread(PLANS, root)
    olga.wait_thread("root", "a reply", "another")
    last = olga.thread.lines[-1].seq
    assert last is not None
    olga.core.mark_thread(PLANS, root, last)
    olga.wait(lambda: olga.channels[PLANS].unread_replies == 0)


def test_the_marker_of_a_thread_is_shared_by_devices_and_survives_a_restart(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    alice.open()
    bob.open()
    alice.core.send("#general", "root")
    bob.wait_texts("root")
    (root,) = [line.seq for line in bob.lines() if line.text == "root"]
    assert root is not None
    alice.stop()
    bob.core.send("#general", "while away", reply_to=root, thread_only=True)
    bob.core.idle().result(PATIENCE)
    again = open_client(server.url, "alice")
    again.open()
    again.wait(lambda: again.channels["#general"].unread_replies == 1)
    again.core.open_thread("#general", root)
    again.wait_thread("root", "while away")
    last = again.thread.lines[-1].seq
    assert last is not None
    again.core.mark_thread("#general", root, last)
    again.core.idle().result(PATIENCE)
    again.stop()
    third = open_client(server.url, "alice")
    third.open()
    assert third.channels["#general"].unread_replies == 0


def test_expired_messages_are_erased_on_the_screen_and_on_disk(
    start_server: Callable[..., ChatServer], open_client: Open, tmp_path: Path
) -> None:
    server = start_server("--retention", "1d")
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    alice.open()
    bob.open()
    bob.core.send("#general", "old words")
    alice.wait_texts("old words")
    (old,) = [line.seq for line in alice.lines() if line.text == "old words"]
    bob.core.pin("#general", old or 0)
    alice.wait(lambda: alice.channels["#general"].pins == 1)
    bob.stop()
    server.stop()
    with closing(sqlite3.connect(server.data / "chat.db")) as db, db:
        db.execute("UPDATE events SET ts = ts - 172800000")
    server.start()
    alice.core.reconnect_now()
    alice.wait_online()
    alice.core.send("#general", "new words")
    done = server.administer("expire", "--force")
    assert done.returncode == 0, done.stderr
    alice.wait_texts("", "new words")
    alice.wait(lambda: alice.channels["#general"].pins == 0)
    alice.stop()
    for file in (tmp_path / "data-alice").rglob("cache.db*"):
        assert b"old words" not in file.read_bytes()
    carol = open_client(server.url, "carol")
    carol.open()
    carol.wait(lambda: [line.text for line in carol.lines() if not line.deleted][-1:] != [])
    assert "old words" not in carol.texts()
