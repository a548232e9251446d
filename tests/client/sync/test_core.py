"""The core against a fake server: published updates, and commands sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.model.state import Delivery, Link, Reaction, TimelineChanged, Update
from chat.client.network.errors import Offline
from chat.client.storage.outbox_db import OutboxDb
from chat.client.sync.core import Core
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import (
    Command,
    History,
    Join,
    Leave,
    Mark,
    Send,
    SetStatus,
    SetTopic,
    Typing,
)
from chat.protocol.frames import (
    Bye,
    ErrorFrame,
    Heads,
    LimitsFrame,
    PresenceFrame,
    Read,
    TypingFrame,
)
from chat.protocol.values import Limits, Wire
from tests.client.fake_log import FakeLog
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE

Open = Callable[..., Screen]


def opened(open_client: Open, server: FakeServer, **more: object) -> Screen:
    screen = open_client(server.url, **more)
    screen.open()
    return screen


def test_messages_of_others_are_shown_in_order(open_client: Open, fake: FakeServer) -> None:
    fake.say("bob", "before")
    screen = opened(open_client, fake)
    fake.say("bob", "after")
    screen.wait_texts("before", "after")
    assert screen.timelines["#general"].is_complete
    assert screen.connection.user == "alice"


def test_a_message_is_pending_until_its_event_arrives(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    seen: list[Delivery] = []
    cid = screen.core.send("#general", "hello", me=True)

    def is_sent() -> bool:
        seen.extend(line.delivery for line in screen.lines() if line.cid == cid)
        return Delivery.SENT in seen

    screen.wait(is_sent)
    line = screen.lines()[-1]
    assert (line.text, line.seq, line.cid, line.me) == ("hello", 1, cid, True)
    assert len(screen.lines()) == 1


def test_sends_keep_their_order_and_wait_for_each_other(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    texts = [f"m{number}" for number in range(20)]
    for text in texts:
        screen.core.send("#general", text)
    screen.wait_texts(*texts)
    assert [e.text for e in fake.logs["#general"].events] == texts


def test_emoji_names_are_sent_as_emoji(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    screen.core.send("#general", "well done :tada:, see `:tada:`")
    screen.wait_texts("well done 🎉, see `:tada:`")
    (event,) = fake.logs["#general"].events
    screen.core.edit("#general", event.seq, ":+1:")
    screen.wait_texts("👍")


def test_settled_completes_after_the_updates_were_published(tmp_path: Path) -> None:
    """After `settled`, the client knows all pending messages."""
    core = Core(
        ClientSettings(name="alice", url="ws://127.0.0.1:9", data=tmp_path), wake=lambda: None
    )
    updates: list[Update] = []
    core.open_channel("#tea")
    core.send("#tea", "wait for me")
    core.settled().add_done_callback(lambda _: updates.extend(core.drain()))
    core.open()  # all of it happens in one turn
    core.settled().result(PATIENCE)
    core.stop()
    lines = [line for each in updates if isinstance(each, TimelineChanged) for line in each.upserts]
    assert [line.text for line in lines] == ["wait for me"]


def test_messages_typed_offline_are_sent_after_a_reconnect(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    fake.stop()
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    screen.core.send("#general", "typed offline")
    screen.wait(lambda: screen.pending() == ["typed offline"])
    fake.start()
    screen.wait_texts("typed offline")
    assert fake.count(Send) == 1


def test_an_unreachable_server_is_reported_with_how_to_start_one(open_client: Open) -> None:
    screen = open_client("ws://127.0.0.1:9")
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    assert "no server at ws://127.0.0.1:9" in screen.connection.detail
    assert "chat-server --port 9" in screen.connection.detail
    assert screen.connection.retry_in is not None


def test_missed_messages_are_loaded_and_shown_once(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.say("bob", "one")
    screen.wait_texts("one")
    resets = screen.timelines["#general"].resets
    fake.stop()
    texts = [f"missed {number}" for number in range(450)]
    for text in texts:
        fake.logs["#general"].append("bob", text=text)
    fake.start()
    screen.wait_texts("one", *texts)
    assert screen.timelines["#general"].resets == resets
    fake.say("bob", "live again")
    screen.wait_texts("one", *texts, "live again")


def test_a_lost_event_is_detected_by_the_next_one(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.sends_events = False
    fake.say("bob", "lost")
    fake.sends_events = True
    fake.say("bob", "next")
    screen.wait_texts("lost", "next")


def test_a_lost_last_event_is_detected_by_heads(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.sends_events = False
    fake.say("bob", "lost")
    fake.tell_heads()
    screen.wait_texts("lost")
    assert fake.count(History) == 1


def test_edits_deletions_and_reactions_change_their_line(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    for text in ("one", "two", "three"):
        fake.say("bob", text)
    fake.append("bob", "#general", "edit", target=1, text="1")
    fake.append("bob", "#general", "delete", target=2)
    screen.core.react("#general", 3, "👍")
    screen.wait_texts("1", "", "three")
    screen.wait(lambda: bool(screen.lines()[2].reactions) and not screen.pending())
    one, two, three = screen.lines()
    assert (one.text, one.edited) == ("1", True)
    assert (two.text, two.deleted) == ("", True)
    assert three.reactions == (Reaction("👍", ("alice",)),)


def test_own_changes_are_shown_at_once_and_wait_offline(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    screen.core.send("#general", "one")
    screen.wait_texts("one")
    fake.stop()
    screen.core.edit("#general", 1, "better")
    screen.wait(lambda: screen.texts() == ["better"])
    assert screen.lines()[0].delivery is Delivery.PENDING
    fake.start()
    screen.wait_texts("better")
    assert fake.logs["#general"].item(1).text == "better"


def test_the_event_alone_confirms_a_message(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    def store_without_answer(command: Command) -> Wire | None:
        if isinstance(command, Send):
            fake.store("alice", command)
            return fake.SILENCE
        return None

    fake.intercept = store_without_answer
    screen = opened(open_client, fake)
    screen.core.send("#general", "stored")
    screen.wait_texts("stored")
    screen.stop()
    paths = ClientPaths(tmp_path / "data-alice")
    with closing(OutboxDb(paths.first_account(fake.url, "alice") / "outbox.db")) as outbox:
        assert not outbox.outbox()


def test_the_ok_alone_confirms_a_message(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.sends_events = False
    for text in ("one", "two"):
        screen.core.send("#general", text)
    screen.wait_texts("one", "two")
    assert [m.seq for m in screen.lines()] == [1, 2]
    assert fake.count(Send) == 2
    fake.sends_events = True
    fake.say("bob", "three")
    screen.wait_texts("one", "two", "three")


def test_a_frame_over_the_servers_limit_is_not_sent(open_client: Open, fake: FakeServer) -> None:
    fake.limits = Limits(frame=4_096)
    screen = opened(open_client, fake)
    screen.core.send("#general", "x" * 5_000)
    screen.wait(lambda: [m.delivery for m in screen.lines()] == [Delivery.FAILED])
    assert "limit 4,096" in screen.lines()[0].reason
    assert fake.count(Send) == 0


def test_a_rejected_message_keeps_its_text_until_it_is_retried(
    open_client: Open, fake: FakeServer
) -> None:
    refusal = ErrorFrame(code=ErrorCode.FORBIDDEN, message="you are mute", retryable=False)
    fake.intercept = lambda command: refusal if isinstance(command, Send) else None
    screen = opened(open_client, fake)
    cid = screen.core.send("#general", "hush")
    screen.wait(lambda: [m.delivery for m in screen.lines()] == [Delivery.FAILED])
    assert screen.lines()[0].reason == "you are mute"
    screen.wait(lambda: screen.channels["#general"].failed == 1)
    fake.intercept = lambda _: None
    screen.core.retry(cid)
    screen.wait_texts("hush")
    screen.wait(lambda: screen.channels["#general"].failed == 0)


def test_a_rejected_message_does_not_block_the_next_and_can_be_discarded(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    bad = screen.core.send("#general", "control \x07 character")
    screen.core.send("#general", "fine")
    screen.wait(lambda: "fine" in screen.texts() and screen.pending() == ["control \x07 character"])
    screen.core.discard(bad)
    screen.wait_texts("fine")


def test_a_message_over_the_servers_limits_is_not_sent(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    screen.core.send("#general", "x" * 8_001)
    screen.wait(lambda: [m.delivery for m in screen.lines()] == [Delivery.FAILED])
    assert "8,001 characters" in screen.lines()[0].reason
    assert fake.count(Send) == 0


def test_a_retryable_rejection_is_retried_with_the_same_cid(
    open_client: Open, fake: FakeServer
) -> None:
    tries: list[str | None] = []

    def refuse_twice(command: Command) -> Wire | None:
        if isinstance(command, Send):
            tries.append(command.cid)
            if len(tries) <= 2:
                return ErrorFrame(
                    code=ErrorCode.UNAVAILABLE,
                    message="disk full",
                    retryable=True,
                    retry_after=0.01,
                )
        return None

    fake.intercept = refuse_twice
    screen = opened(open_client, fake)
    cid = screen.core.send("#general", "patient")
    screen.wait_texts("patient")
    assert tries == [cid] * 3


def test_a_send_whose_answer_was_lost_is_stored_once(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.sends_events = False

    def store_and_break(command: Command) -> Wire | None:
        if isinstance(command, Send):
            fake.intercept = lambda _: None
            fake.store("alice", command)
            fake.cut()
            return fake.SILENCE
        return None

    fake.intercept = store_and_break
    screen.core.send("#general", "only once")
    screen.wait_texts("only once")
    assert fake.logs["#general"].head == 1


def test_older_lines_are_loaded_from_the_server_then_from_the_cache(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    for number in range(180):
        fake.say("bob", f"m{number}")
    screen = opened(open_client, fake)
    screen.wait(lambda: len(screen.lines()) == 50)
    assert screen.timelines["#general"].gaps == (131,)
    for expected in (150, 180):
        screen.core.load_before("#general")
        screen.core.load_before("#general")
        screen.wait(lambda expected=expected: len(screen.lines()) == expected)  # type: ignore[misc]
    assert screen.texts() == [f"m{number}" for number in range(180)]
    timeline = screen.timelines["#general"]
    assert (timeline.gaps, timeline.is_complete) == ((), True)
    screen.stop()
    fake.stop()
    again = open_client(fake.url)
    again.core.open_channel("#general")
    again.wait(lambda: len(again.lines()) == 100)
    again.core.load_before("#general")
    again.wait(lambda: len(again.lines()) == 180 and again.timelines["#general"].is_complete)


def test_loading_older_lines_offline_gets_an_update(open_client: Open, fake: FakeServer) -> None:
    for number in range(60):
        fake.say("bob", f"m{number}")
    screen = opened(open_client, fake)
    screen.wait(lambda: len(screen.lines()) == 50)
    fake.stop()
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    screen.timelines["#general"].gaps = ()
    screen.core.load_before("#general")
    screen.wait(lambda: screen.timelines["#general"].gaps == (11,))


def test_the_cache_is_shown_before_the_connection(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.say("bob", "cached")
    screen.wait_texts("cached")
    screen.stop()
    fake.stop()
    again = open_client(fake.url)
    again.core.open_channel("#general")
    again.wait_texts("cached")
    assert again.channels["#general"].head == 1


def test_another_log_under_the_same_name_replaces_the_cache(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    for text in ("old 1", "old 2", "old 3"):
        fake.say("bob", text)
    screen.wait_texts("old 1", "old 2", "old 3")
    fake.stop()
    fake.logs["#general"] = FakeLog("#general", epoch="e2")
    fake.logs["#general"].append("bob", text="new")
    fake.start()
    screen.wait_texts("new")
    screen.stop()
    fake.stop()
    again = open_client(fake.url)
    again.core.open_channel("#general")
    again.wait_texts("new")


def test_a_restored_database_is_detected_by_the_mid(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.say("bob", "from the future")
    screen.wait_texts("from the future")
    fake.stop()
    event = fake.logs["#general"].events.pop()
    fake.logs["#general"].append("bob", text="another")
    log = fake.logs["#general"]
    log.events[-1] = log.events[-1].model_copy(update={"mid": event.mid + "x"})
    fake.start()
    screen.wait_texts("another")


def test_unread_counts_grow_and_the_marker_clears_them(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.say("bob", "hi @alice", mentions=("alice",))
    fake.say("bob", "there")
    fake.say("alice", "from my other device")
    screen.wait(lambda: screen.channels["#general"].unread == 2)
    assert screen.channels["#general"].mentions == 1
    screen.core.mark("#general", 1)
    screen.wait(lambda: screen.channels["#general"].unread == 1)
    assert screen.channels["#general"].mentions == 0
    screen.core.mark("#general", 3)
    screen.wait(lambda: fake.logs["#general"].read.get("alice") == 3)
    assert screen.channels["#general"].unread == 0


def test_outdated_counts_do_not_hide_a_newer_message(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.say("bob", "one")
    fake.say("bob", "two")
    screen.wait(lambda: screen.channels["#general"].unread == 2)
    before_two = Read(channel="#general", version=1, seq=1, unread=0, mentions=0, head=1)
    fake.tell(before_two)
    screen.wait(lambda: screen.channels["#general"].read == 1)
    assert screen.channels["#general"].unread == 1


@pytest.mark.feature("reading.sync")
def test_a_marker_moved_offline_is_sent_later_and_never_moves_back(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    fake.say("bob", "one")
    fake.say("bob", "two")
    screen.wait_texts("one", "two")
    fake.stop()
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    screen.core.mark("#general", 2)
    screen.core.mark("#general", 1)
    screen.wait(lambda: screen.channels["#general"].unread == 0)
    screen.stop()
    fake.start()
    again = open_client(fake.url)
    again.wait(lambda: fake.logs["#general"].read.get("alice") == 2)
    assert fake.count(Mark) == 1


@pytest.mark.parametrize("epoch", ["restored", "e1"], ids=["a new epoch", "copied back by hand"])
def test_a_restored_log_starts_with_the_servers_marker_and_counts(
    open_client: Open, fake: FakeServer, epoch: str
) -> None:
    for number in range(100):
        fake.say("bob", f"m{number}")
    screen = opened(open_client, fake)
    screen.core.mark("#general", 100)
    screen.wait(lambda: fake.count(Mark) == 1)
    screen.stop()
    fake.stop()
    log = fake.logs["#general"] = FakeLog("#general", epoch=epoch)
    for number in range(60):
        log.append("bob", text=f"restored {number}")
    log.read["alice"] = 50
    fake.commands.clear()
    fake.start()
    again = opened(open_client, fake)
    again.wait(lambda: again.channels["#general"].read == 50)
    again.wait(lambda: again.channels["#general"].unread == 10)
    again.core.mark("#general", 55)
    again.wait(lambda: fake.count(Mark) == 1)
    for command in fake.commands:
        if isinstance(command, Mark):
            assert command.seq == 55


def test_a_marker_of_a_replaced_log_is_not_sent(open_client: Open, fake: FakeServer) -> None:
    fake.say("bob", "one")
    screen = opened(open_client, fake)
    screen.core.ask(Join(channel="#cats")).result(PATIENCE)
    fake.say("bob", "two", "#cats")
    screen.wait_texts("one")
    screen.core.mark("#general", 1)
    fake.logs["#general"] = log = FakeLog("#general", epoch="restored")
    log.append("bob", text="another")
    fake.tell(log.joined("alice"))  # before the marker, which is sent a moment later
    screen.wait_texts("another")
    screen.core.mark("#cats", 2)  # sent after that one
    screen.wait(lambda: fake.count(Mark) == 1)
    screen.catch_up()
    assert not screen.notices


def test_joining_and_leaving_a_channel(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    joined = screen.core.ask(Join(channel="#cats")).result(PATIENCE)
    assert joined.channel == "#cats"
    screen.wait(lambda: list(screen.channels) == ["#general", "#cats"])
    screen.core.ask(Leave(channel="#cats")).result(PATIENCE)
    screen.wait(lambda: list(screen.channels) == ["#general"])


def test_a_channel_left_on_another_device_is_removed(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    screen.core.ask(Join(channel="#cats")).result(PATIENCE)
    screen.open("#cats")
    fake.say("bob", "meow", "#cats")
    screen.wait_texts("meow", channel="#cats")
    fake.tell(Heads(heads={"#general": 0}))
    screen.wait(lambda: list(screen.channels) == ["#general"])
    assert screen.lines("#cats") == []


def test_a_left_channel_is_listed_while_it_has_a_draft(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    screen.core.ask(Join(channel="#cats")).result(PATIENCE)
    screen.core.save_draft("#cats/7", "half a reply")
    screen.wait(lambda: screen.channels["#cats"].has_draft)
    fake.members["#cats"].clear()
    fake.tell(Heads(heads={"#general": 0}))
    screen.wait(lambda: not screen.channels["#cats"].is_member)
    screen.stop()
    again = open_client(fake.url)
    again.wait(lambda: "#cats" in again.channels and again.channels["#cats"].has_draft)
    again.core.save_draft("#cats/7", "")
    again.wait(lambda: list(again.channels) == ["#general"])


def test_a_message_typed_offline_in_a_direct_channel_keeps_its_lines(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    screen.core.send("@alice,bob", "one")
    screen.open("@alice,bob")
    screen.wait_texts("one", channel="@alice,bob")
    resets = screen.timelines["@alice,bob"].resets
    fake.stop()
    screen.core.send("@alice,bob", "two")
    screen.wait(lambda: screen.pending("@alice,bob") == ["two"])
    fake.start()
    screen.wait_texts("one", "two", channel="@alice,bob")
    assert screen.timelines["@alice,bob"].resets == resets


def test_a_rejected_request_fails_with_the_servers_message(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    fake.intercept = lambda command: (
        ErrorFrame(code="newer_code", message="not today", retryable=False)
        if isinstance(command, Join)
        else None
    )
    with pytest.raises(CommandError, match="not today"):
        screen.core.ask(Join(channel="#cats")).result(PATIENCE)


def test_a_request_while_offline_fails_with_a_readable_message(open_client: Open) -> None:
    screen = open_client("ws://127.0.0.1:9")
    with pytest.raises(Offline, match="not connected"):
        screen.core.ask(SetTopic(channel="#general", topic="x")).result(PATIENCE)


def test_a_pending_request_fails_when_the_connection_is_lost(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    fake.intercept = lambda command: fake.SILENCE if isinstance(command, Join) else None
    future = screen.core.ask(Join(channel="#cats"))
    screen.wait(lambda: fake.count(Join) == 2)
    fake.cut()
    with pytest.raises(Offline, match="lost"):
        future.result(PATIENCE)


def test_members_presence_and_typing_are_published(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    assert screen.members["#general"].members == (("alice", "member", "online"),)
    fake.append("bob", "#general", "join")
    screen.wait(lambda: screen.members["#general"].total == 2)
    fake.tell(PresenceFrame(channel="#general", version=2, users={"bob": "away"}))
    fake.tell(PresenceFrame(channel="#general", version=1, users={"bob": "online"}))
    fake.tell(TypingFrame(channel="#general", version=1, users=("alice", "bob")))
    screen.wait(lambda: screen.typing["#general"] == ("bob",))
    screen.wait(lambda: ("bob", "member", "away") in screen.members["#general"].members)
    fake.tell(PresenceFrame(channel="#general", version=3, users={}, roles={"bob": "owner"}))
    screen.wait(lambda: ("bob", "owner", "away") in screen.members["#general"].members)
    fake.append("bob", "#general", "leave")
    screen.wait(lambda: screen.members["#general"].total == 1)


def test_commands_are_sent_in_order(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    screen.core.ask(Typing(channel="#general"))
    screen.core.ask(Typing(channel="#general", state="stop"))
    screen.core.ask(SetTopic(channel="#general", topic="a fence")).result(PATIENCE)
    states = [c.state for c in list(fake.commands) if isinstance(c, Typing)]
    assert states == ["start", "stop"]
    screen.wait(lambda: screen.channels["#general"].topic == "a fence")


def test_the_status_is_sent_again_on_a_new_connection(open_client: Open, fake: FakeServer) -> None:
    def statuses() -> list[str]:
        return [c.status for c in list(fake.commands) if isinstance(c, SetStatus)]

    screen = opened(open_client, fake)
    assert statuses() == []
    screen.core.status("away")
    screen.wait(lambda: statuses() == ["away"])
    fake.cut()
    screen.wait(lambda: statuses() == ["away", "away"])


def test_the_echo_channel_shows_both_the_message_and_its_echo(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    screen.core.ask(Join(channel="#echo")).result(PATIENCE)
    screen.core.open_channel("#echo")
    screen.core.send("#echo", "Hello")
    screen.wait(lambda: len(screen.lines("#echo")) == 2 and not screen.pending("#echo"))
    assert sorted((m.kind, m.text) for m in screen.lines("#echo")) == [
        ("message", "Hello"),
        ("tick", "Hello"),
    ]
    fake.cut()
    screen.wait(
        lambda: sum(isinstance(c, Join) and c.channel == "#echo" for c in fake.commands) == 2
    )


def test_drafts_survive_a_restart(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    screen.core.save_draft("#general", "half a thou")
    assert screen.core.draft("#general") == "half a thou"
    screen.wait(lambda: screen.channels["#general"].has_draft)
    screen.core.save_pref("last", "#general")
    screen.stop()
    again = open_client(fake.url)
    assert again.core.draft("#general") == "half a thou"
    assert again.core.pref("last") == "#general"


def test_the_servers_reconnect_window_is_respected(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.tell(Bye(reason="restart", reconnect=3_000.0))
    fake.cut()
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    assert (screen.connection.retry_in or 0) > 0.05
    screen.core.reconnect_now()
    screen.wait_online()


@pytest.mark.parametrize("garbage", [b"{", b"[]", b'{"type":"event","channel":"#general"}'])
def test_a_server_that_sends_nonsense_is_disconnected_and_retried(
    open_client: Open, fake: FakeServer, garbage: bytes
) -> None:
    screen = opened(open_client, fake)
    fake.tell(garbage)
    screen.wait(lambda: any("protocol" in notice.text for notice in screen.notices))
    screen.wait_online()
    fake.say("bob", "still here")
    screen.wait_texts("still here")


def test_changed_limits_of_the_server_apply_to_the_composer_and_to_sending(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake)
    assert screen.connection.text_limit == Limits().text
    fake.tell(LimitsFrame(limits=Limits(text=5)))
    screen.wait(lambda: screen.connection.text_limit == 5)
    screen.core.send("#general", "longer than five")
    screen.wait(lambda: [m.delivery for m in screen.lines()] == [Delivery.FAILED])
    assert not any(isinstance(each, Send) for each in fake.commands)


def test_frames_of_a_newer_server_are_ignored(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    fake.tell(b'{"type":"fireworks","channel":"#general"}')
    fake.say("bob", "fine")
    screen.wait_texts("fine")
    assert not screen.notices


def test_a_page_with_a_gap_ends_the_connection(open_client: Open, fake: FakeServer) -> None:
    screen = opened(open_client, fake)
    for text in ("one", "two", "three"):
        fake.logs["#general"].append("bob", text=text)

    def holed(command: Command) -> Wire | None:
        if isinstance(command, History):
            page = fake.logs["#general"].page_after(0)
            fake.intercept = lambda _: None
            return page.model_copy(update={"items": page.items[1:]})
        return None

    fake.intercept = holed
    fake.tell_heads()
    screen.wait(lambda: any("are missing" in notice.text for notice in screen.notices))
    screen.wait_texts("one", "two", "three")


def test_silence_ends_the_connection(
    open_client: Open, start_fake: Callable[..., FakeServer]
) -> None:
    fake = start_fake(heartbeat=0.1)
    screen = opened(open_client, fake)
    screen.wait(lambda: any("stopped responding" in change.detail for change in screen.history))


def test_too_many_undrained_updates_are_replaced_by_a_repaint(
    open_client: Open, fake: FakeServer
) -> None:
    screen = opened(open_client, fake, updates_max=5)
    for number in range(40):
        fake.say("bob", f"m{number}")
        fake.tell(TypingFrame(channel="#general", version=number, users=("bob",)))
    fake.tell_heads()
    screen.wait(lambda: screen.texts() == [f"m{number}" for number in range(40)])
    screen.wait(lambda: screen.connection.link is Link.ONLINE)
