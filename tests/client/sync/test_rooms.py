"""Roles, moderation, threads, invitations and ignored users, between a core and a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat.client.model.membership import Invitation, Mute
from chat.client.model.state import MembershipEnded
from chat.client.sync.inbox import Unread
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import (
    Ban,
    BaseCommand,
    Create,
    Hello,
    Ignore,
    Kick,
    ListBans,
    Mark,
    Send,
)
from chat.protocol.frames import (
    ChannelInvitation,
    ErrorFrame,
    Ignored,
    Invited,
    Removed,
    ThreadState,
)
from chat.protocol.frames import Mute as MuteFrame
from chat.protocol.frames import Read as ReadFrame
from chat.protocol.values import ChannelSettings as WireSettings
from chat.rights import ChannelSettings
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE

Open = Callable[..., Screen]


@pytest.fixture
def fake(start_fake: Callable[..., FakeServer]) -> FakeServer:
    """Return a server with rooms."""
    server = start_fake()
    server.features = ("hidden", "accounts", "rooms")
    server.members["#general"] |= {"bob", "mallory"}
    return server


def opened(open_client: Open, fake: FakeServer) -> Screen:
    screen = open_client(fake.url)
    screen.open()
    return screen


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (Create(channel="#tea"), "/create"),
        (Kick(channel="#general", name="bob"), "/kick"),
        (Ban(channel="#general", name="bob"), "bans from channels"),
        (ListBans(channel="#general"), "bans from channels"),
        (Ignore(name="bob"), "/ignore"),
    ],
)
def test_new_commands_are_not_sent_to_an_old_server(
    open_client: Open, start_fake: Callable[..., FakeServer], command: BaseCommand, what: str
) -> None:
    old = start_fake()
    screen = open_client(old.url)
    screen.open()
    with pytest.raises(CommandError, match=f"too old for {what}") as found:
        screen.core.ask(command).result(PATIENCE)  # type: ignore[arg-type]  # any command
    assert found.value.code is ErrorCode.FORBIDDEN
    assert old.count(type(command)) == 0
    assert not screen.connection.has_rooms


def test_a_reply_to_an_old_server_is_an_ordinary_one(
    open_client: Open, start_fake: Callable[..., FakeServer]
) -> None:
    old = start_fake()
    root = old.say("bob", "root").seq
    screen = opened(open_client, old)
    screen.core.send("#general", "answer", reply_to=root, thread_only=True)
    screen.wait_texts("root", "answer")
    (sent,) = [each for each in old.commands if isinstance(each, Send)]
    assert not sent.thread_only


def test_settings_role_and_mute_are_published_and_stored(
    open_client: Open, fake: FakeServer
) -> None:
    fake.joined["#general"] = {
        "role": "moderator",
        "settings": WireSettings(posting="moderators", private=True),
        "mute": MuteFrame(by="alice", until=9, reason="spam"),
    }
    screen = opened(open_client, fake)
    settings = ChannelSettings(posting="moderators", private=True)

    def known(info: object) -> bool:
        return (
            getattr(info, "role", ""),
            getattr(info, "settings", None),
            getattr(info, "mute", None),
        ) == ("moderator", settings, Mute("alice", 9, "spam"))

    screen.wait(lambda: known(screen.channels["#general"]))
    screen.stop()
    fake.stop()
    again = open_client(fake.url)
    again.wait(lambda: known(again.channels.get("#general")))
    assert again.connection.has_rooms, "as at the last connection"
    assert "send" in again.channels["#general"].rights(now=10)
    assert "send" not in again.channels["#general"].rights(now=8)


def test_a_kick_removes_the_channel_and_says_who_and_why(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    fake.logs["#secret"] = type(fake.logs["#general"])("#secret")
    fake.members["#secret"] = {"alice", "bob"}
    fake.joined["#secret"] = {"settings": WireSettings(private=True)}
    fake.say("bob", "the plans", channel="#secret")
    screen = open_client(fake.url)
    screen.open("#secret")
    screen.wait_texts("the plans", channel="#secret")
    fake.append("alice", "#secret", "leave", by="bob", act="kick", reason="spam")
    fake.tell(Removed(channel="#secret", act="kick", by="bob", reason="spam"))
    screen.wait(lambda: bool(screen.ended) and "#secret" not in screen.channels)
    assert screen.ended == [MembershipEnded("#secret", "kick", "bob", None, "spam")]
    assert screen.lines("#secret") == []
    screen.stop()
    for file in tmp_path.rglob("cache.db*"):
        assert b"the plans" not in file.read_bytes()


def test_a_renamed_direct_channel_is_no_removal(open_client: Open, fake: FakeServer) -> None:
    fake.logs["@alice,bob"] = type(fake.logs["#general"])("@alice,bob")
    fake.members["@alice,bob"] = {"alice", "bob"}
    screen = open_client(fake.url)
    screen.open("@alice,bob")
    fake.tell(Removed(channel="@alice,bob", act="erased"))
    screen.wait(lambda: "@alice,bob" not in screen.channels)
    assert screen.ended == []


def test_invitations_come_with_welcome_and_live(open_client: Open, fake: FakeServer) -> None:
    first = ChannelInvitation(channel="#one", by="bob", ts=1, private=True)
    second = ChannelInvitation(channel="#two", by="eve", ts=2, topic="tea")
    fake.welcome = {"invited": (first,)}
    screen = opened(open_client, fake)
    screen.wait(lambda: screen.invitations == (Invitation("#one", "bob", 1, "", True),))
    assert screen.new_invitations == []
    fake.tell(Invited(invitation=second))
    screen.wait(lambda: [each.channel for each in screen.invitations] == ["#two", "#one"])
    assert screen.new_invitations == [Invitation("#two", "eve", 2, "tea")]
    fake.tell(Invited(invitation=first, remove=True))
    screen.wait(lambda: [each.channel for each in screen.invitations] == ["#two"])


def test_ignored_users_neither_count_nor_notify(open_client: Open, fake: FakeServer) -> None:
    fake.welcome = {"ignored": ("Mallory",)}
    screen = opened(open_client, fake)
    fake.say("mallory", "hello @alice", mentions=("alice",))
    fake.say("bob", "hello @alice", mentions=("alice",))
    screen.wait(lambda: screen.channels["#general"].unread == 1)
    assert screen.channels["#general"].mentions == 1
    assert [due.author for due in screen.called] == ["bob"]
    assert screen.ignored == ("Mallory",)
    fake.tell(Ignored(names=()))
    screen.wait(lambda: screen.channels["#general"].unread == 2)
    fake.tell(Ignored(names=("mallory", "bob")))
    screen.wait(lambda: screen.channels["#general"].unread == 0)


def test_replies_in_a_thread_have_a_marker_of_their_own(
    open_client: Open, fake: FakeServer
) -> None:
    root = fake.say("alice", "root").seq
    screen = opened(open_client, fake)
    body: dict[str, Any] = {"reply_to": root, "thread": root, "thread_only": True}
    answer = fake.say("bob", "answer", **body).seq
    screen.wait(lambda: screen.channels["#general"].unread_replies == 1)
    assert screen.channels["#general"].unread == 0
    assert screen.texts() == ["root"]
    assert list(screen.timelines["#general"].replies) == [answer]
    assert [(due.text, due.thread, due.thread_only) for due in screen.called] == [
        ("answer", root, True)
    ]
    (unread,) = screen.core.inbox().result(PATIENCE)
    assert isinstance(unread, Unread)
    assert [(each.message.text, each.why) for each in unread.waiting] == [("answer", "reply")]
    assert screen.core.thread_with("#general", answer).result(PATIENCE) == root
    screen.core.open_thread("#general", root)
    screen.wait_thread("root", "answer")
    screen.core.mark_thread("#general", root, answer)
    screen.wait(lambda: screen.channels["#general"].unread_replies == 0)
    screen.wait(lambda: fake.count(Mark) == 1)
    (mark,) = [each for each in fake.commands if isinstance(each, Mark)]
    assert (mark.seq, mark.thread) == (answer, root)


def test_a_thread_that_nobody_follows_stays_silent(open_client: Open, fake: FakeServer) -> None:
    root = fake.say("bob", "root").seq
    screen = opened(open_client, fake)
    fake.say("mallory", "answer", reply_to=root, thread=root, thread_only=True)
    fake.say("bob", "next")
    screen.wait_texts("root", "next")
    assert screen.channels["#general"].threads == ()
    assert screen.called == []


def test_threads_follow_other_devices(open_client: Open, fake: FakeServer) -> None:
    root = fake.say("bob", "root").seq
    state = ThreadState(thread=root, read=0, unread=2, mentions=1)
    fake.joined["#general"] = {"threads": (state,)}
    screen = opened(open_client, fake)
    screen.wait(lambda: screen.channels["#general"].unread_replies == 2)
    read = ReadFrame(
        channel="#general", version=9, seq=9, unread=0, mentions=0, thread=root, following=True
    )
    fake.tell(read)
    screen.wait(lambda: screen.channels["#general"].unread_replies == 0)


def test_an_own_reply_stays_out_of_the_channel_unless_it_is_rejected(
    open_client: Open, fake: FakeServer
) -> None:
    root = fake.say("bob", "root").seq
    screen = opened(open_client, fake)
    screen.core.open_thread("#general", root)
    screen.core.send("#general", "answer", reply_to=root, thread_only=True)
    screen.wait(lambda: fake.count(Send) == 1)
    screen.wait(lambda: not screen.channels["#general"].has_draft)
    screen.wait(lambda: [line.text for line in screen.thread.lines] == ["root", "answer"])
    assert screen.texts() == ["root"]
    refusal = ErrorFrame(code=ErrorCode.MUTED, message="You are muted.", retryable=False)
    fake.intercept = lambda command: refusal if isinstance(command, Send) else None
    cid = screen.core.send("#general", "refused", reply_to=root, thread_only=True)
    screen.wait(lambda: screen.texts() == ["root", "refused"])
    fake.intercept = lambda _: None
    screen.core.retry(cid)
    screen.wait_texts("root")


def test_expired_texts_are_erased_everywhere(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    fake.say("bob", "old words")
    fake.say("bob", "new words")
    screen = opened(open_client, fake)
    screen.wait_texts("old words", "new words")
    fake.append("server", "#general", "expire", up_to=1)
    screen.wait_texts("", "new words")
    assert screen.channels["#general"].unread == 1
    screen.stop()
    fake.stop()
    for file in tmp_path.rglob("cache.db*"):
        assert b"old words" not in file.read_bytes()
    again = open_client(fake.url)
    again.core.open_channel("#general")
    again.wait(lambda: again.texts() == ["", "new words"])


def test_lines_stored_before_the_server_had_rooms_are_loaded_again(
    open_client: Open, fake: FakeServer
) -> None:
    fake.features = ()
    fake.say("bob", "hello")
    opened(open_client, fake).stop()
    for features, is_resumed in ((("rooms",), False), (("rooms",), True)):
        fake.features = features
        screen = opened(open_client, fake)
        screen.wait_texts("hello")
        hello = [each for each in fake.commands if isinstance(each, Hello)][-1]
        assert (hello.resume is not None) is is_resumed
        screen.stop()
