"""Rights of the user in a channel, and the threads that they follow."""

from __future__ import annotations

from typing import Any

import pytest

from chat.client.model.channel import Channel
from chat.client.model.log_view import LogView
from chat.client.model.membership import FollowedThread, FollowedThreads, Mute, rights_in
from chat.protocol.frames import Read, ThreadState
from chat.protocol.values import ChannelSettings as WireSettings
from chat.rights import DEFAULT, ChannelSettings, rights_of
from tests.client.fake_log import FakeLog

OPEN_MUTE = Mute("alice")


@pytest.mark.parametrize("role", ["owner", "moderator", "member"])
@pytest.mark.parametrize(
    "settings", [DEFAULT, ChannelSettings(posting="moderators"), ChannelSettings(archived=True)]
)
def test_rights_are_those_of_the_table(role: str, settings: ChannelSettings) -> None:
    expected = rights_of(role, settings)  # type: ignore[arg-type]  # a role is a standing
    assert rights_in("#tea", role, settings, None, 0) == expected
    muted = rights_of("owner" if role == "owner" else "muted", settings)
    assert rights_in("#tea", role, settings, OPEN_MUTE, 0) == muted


def test_a_mute_ends_by_itself() -> None:
    mute = Mute("alice", until=1_000)
    assert "send" not in rights_in("#tea", "member", DEFAULT, mute, 999)
    assert "send" in rights_in("#tea", "member", DEFAULT, mute, 1_000)


def test_an_unknown_role_has_the_rights_of_a_member() -> None:
    assert rights_in("#tea", "wizard", DEFAULT, None, 0) == rights_of("member")


def test_a_direct_channel_has_no_moderation() -> None:
    rights = rights_in("@bob,me", "owner", DEFAULT, None, 0)
    assert rights == {"read", "send", "leave", "typing", "pin", "topic"}


def entered(log: FakeLog, **fields: object) -> Channel:
    """Return the channel of `log` as `me` sees it after `joined`."""
    channel = Channel(LogView(log.channel, "me"))
    joined = log.joined("me").model_copy(update=fields)
    channel.view.apply_joined(joined)
    channel.joined(joined)
    return channel


def feed(channel: Channel, log: FakeLog, author: str, kind: str = "message", **body: Any) -> int:
    """Apply an event; return its seq."""
    event = log.append(author, kind, **body)
    for entry in channel.view.apply_event(event).entries:
        channel.apply(entry)
    return event.seq


def test_settings_role_and_mute_follow_the_log() -> None:
    log = FakeLog("#tea")
    channel = entered(log)
    feed(channel, log, "alice", "settings", settings=WireSettings(posting="moderators"))
    assert channel.settings == ChannelSettings(posting="moderators")
    feed(channel, log, "alice", "role", user="Me", role="moderator")
    assert channel.role == "moderator"
    feed(channel, log, "alice", "mute", user="me", until=5, reason="spam")
    assert channel.mute == Mute("alice", 5, "spam")
    feed(channel, log, "alice", "mute", user="me", remove=True)
    assert channel.mute is None


def test_a_muted_member_is_listed_as_muted() -> None:
    log = FakeLog("#tea")
    channel = entered(log)
    feed(channel, log, "bob", "join")
    feed(channel, log, "alice", "mute", user="BOB")
    assert channel.members().muted == {"bob"}
    feed(channel, log, "alice", "mute", user="bob", remove=True)
    assert channel.members().muted == frozenset()


def test_events_that_joined_includes_do_not_change_the_settings_back() -> None:
    log = FakeLog("#tea")
    log.append("alice", "settings", settings=WireSettings(archived=True))
    log.append("alice", "settings", settings=WireSettings())
    channel = Channel(LogView("#tea", "me"))
    joined = log.joined("me", after=0)
    change = channel.view.apply_joined(joined)
    channel.joined(joined)
    for entry in change.entries:
        channel.apply(entry)
    assert channel.settings == DEFAULT


def test_former_owner_becomes_a_moderator() -> None:
    log = FakeLog("#tea")
    log.append("me", "join")
    channel = entered(log)
    feed(channel, log, "bob", "join")
    feed(channel, log, "me", "role", user="me", role="owner")
    feed(channel, log, "me", "role", user="bob", role="owner")
    roles = {name: role for name, role, _presence in channel.members().members}
    assert channel.role == "moderator"
    assert [name for name, role in roles.items() if role == "owner"] == ["bob"]


def test_expired_pins_are_dropped() -> None:
    log = FakeLog("#tea")
    first, second = (log.append("bob", text=text).seq for text in "ab")
    channel = entered(log, pins=(first, second))
    feed(channel, log, "server", "expire", up_to=first)
    assert channel.pins == {second}


def waiting(channel: Channel) -> list[tuple[int, int, int]]:
    return [(each.root, each.unread, each.mentions) for each in channel.view.threads.waiting]


def reply(channel: Channel, log: FakeLog, author: str, root: int, **body: Any) -> int:
    body = {"text": "x", "reply_to": root, "thread": root, "thread_only": True, **body}
    return feed(channel, log, author, **body)


def test_replies_count_in_the_threads_that_the_user_started_wrote_in_or_is_named_in() -> None:
    log = FakeLog("#tea")
    mine, joined, named, other = (
        log.append(author, text="root").seq for author in ("me", "bob", "bob", "bob")
    )
    channel = entered(log)
    reply(channel, log, "bob", mine)
    reply(channel, log, "me", joined)
    reply(channel, log, "bob", joined)
    reply(channel, log, "bob", joined)
    reply(channel, log, "bob", named, mentions=("Me",))
    reply(channel, log, "eve", other)
    assert waiting(channel) == [(named, 1, 1), (joined, 2, 0), (mine, 1, 0)]
    assert (channel.view.unread, channel.view.mentions) == (3, 0), "the roots by bob"


def test_a_reply_that_is_also_in_the_channel_counts_there() -> None:
    log = FakeLog("#tea")
    root = log.append("me", text="root").seq
    channel = entered(log)
    reply(channel, log, "bob", root, thread_only=False)
    assert waiting(channel) == []
    assert channel.view.unread == 1


def test_a_deleted_reply_no_longer_counts() -> None:
    log = FakeLog("#tea")
    root = log.append("me", text="root").seq
    channel = entered(log)
    answer = reply(channel, log, "bob", root, mentions=("me",))
    feed(channel, log, "bob", "delete", target=answer)
    assert waiting(channel) == []


def test_a_thread_that_is_no_longer_followed_does_not_count() -> None:
    log = FakeLog("#tea")
    root = log.append("me", text="root").seq
    channel = entered(log)
    channel.view.threads.follow(root, following=False)
    reply(channel, log, "bob", root)
    assert waiting(channel) == []


def test_the_servers_counts_replace_the_local_ones() -> None:
    threads = FollowedThreads([FollowedThread(1, unread=3), FollowedThread(2, read=9, unread=1)])
    threads.take([ThreadState(thread=2, read=5, unread=4, mentions=0)], head=20)
    assert threads.get(1).unread == 0
    assert threads.get(2) == FollowedThread(2, read=9, unread=1), "read further here"
    threads.count(2, 20, 1, 0)
    assert threads.get(2).unread == 1, "included in the server's counts"
    threads.count(2, 21, 1, 0)
    assert threads.get(2).unread == 2
    read = Read(channel="#tea", version=21, seq=21, unread=0, mentions=0, thread=2, following=True)
    threads.apply_read(read)
    assert threads.get(2) == FollowedThread(2, read=21, marked=21)
    assert not threads.unsent


def test_the_servers_list_tells_which_threads_are_followed() -> None:
    threads = FollowedThreads([FollowedThread(1), FollowedThread(2, following=False)])
    threads.take([ThreadState(thread=3, read=5, unread=0, mentions=0)], head=20)
    assert [(each.root, each.following) for each in threads] == [(1, False), (2, False), (3, True)]
    newest = [ThreadState(thread=n, read=n, unread=0, mentions=0) for n in range(50, 30, -1)]
    threads.take(newest, head=60)
    assert threads.get(3).following, "more are followed than the server lists"


def test_a_local_marker_is_unsent_until_the_server_has_it() -> None:
    threads = FollowedThreads()
    threads.mark(1, 7, 0, 0)
    assert [each.read for each in threads.unsent] == [7]
    threads.marked(1, 7)
    assert not threads.unsent
