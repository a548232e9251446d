"""Threads with real clients and a real server: from the cache at once, then live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from chat.client.model.coverage import Coverage
from chat.client.model.state import Delivery, Message, ThreadChanged, TimelineChanged, Update
from chat.client.storage.account import Account
from chat.client.sync.publisher import Publisher
from tests.client.screen import Screen
from tests.serving import ChatServer

Open = Callable[..., Screen]


def talk(screen: Screen, *texts: str, reply_to: int | None = None) -> int:
    """Send messages one after the other; return the seq of the last."""
    for text in texts:
        screen.core.send("#general", text, reply_to=reply_to)
    screen.wait(lambda: texts[-1] in screen.texts() and not screen.pending())
    (seq,) = [line.seq for line in screen.lines() if line.text == texts[-1]]
    assert seq is not None
    return seq


def test_two_clients_see_new_replies_in_a_thread(server: ChatServer, open_client: Open) -> None:
    alice, bob = open_client(server.url, "alice"), open_client(server.url, "bob")
    for screen in (alice, bob):
        screen.open()
    root = talk(alice, "first")
    reply = talk(alice, "second", reply_to=root)
    talk(alice, "beside it")
    for screen in (alice, bob):
        screen.core.open_thread("#general", reply)
        screen.wait_thread("first", "second")
        assert screen.thread_root == root
    bob.core.send("#general", "third", reply_to=reply)
    alice.wait_thread("first", "second", "third")
    bob.wait_thread("first", "second", "third")
    alice.core.edit("#general", root, "first of all")
    alice.core.delete("#general", reply)
    bob.wait_thread("first of all", "", "third")
    assert bob.channels["#general"].mentions == 0
    bob.wait(lambda: alice.channels["#general"].mentions == 1)


def test_pending_replies_are_shown_in_the_thread(server: ChatServer, open_client: Open) -> None:
    alice = open_client(server.url, "alice")
    alice.open()
    root = talk(alice, "first")
    alice.core.open_thread("#general", root)
    alice.wait_thread("first")
    server.stop()
    alice.wait(lambda: alice.connection.retry_in is not None)
    cid = alice.core.send("#general", "later", reply_to=root)
    gone = alice.core.send("#general", "never", reply_to=root)
    alice.core.discard(gone)
    alice.wait_thread("first", "later")
    assert [line.delivery for line in alice.thread.lines] == [Delivery.SENT, Delivery.PENDING]
    server.start()
    alice.core.reconnect_now()
    alice.wait(lambda: alice.thread.lines[-1].delivery is Delivery.SENT)
    assert [(line.text, line.cid) for line in alice.thread.lines][-1] == ("later", cid)


def test_a_thread_is_shown_offline_from_the_cache(server: ChatServer, open_client: Open) -> None:
    alice = open_client(server.url, "alice")
    alice.open()
    root = talk(alice, "first")
    talk(alice, "second", "third", reply_to=root)
    alice.stop()
    server.stop()
    again = open_client(server.url, "alice")
    again.core.open_channel("#general")
    again.core.open_thread("#general", root)
    again.wait_thread("first", "second", "third")
    assert again.thread.is_complete


def test_uncached_replies_are_loaded_from_the_server(
    start_server: Callable[..., ChatServer],
    open_client: Open,
) -> None:
    server = start_server("--limits.burst", "1000", "--limits.page", "10")
    alice = open_client(server.url, "alice")
    alice.open()
    root = talk(alice, "first")
    talk(alice, *(f"r{number}" for number in range(15)), reply_to=root)
    last = talk(alice, *(f"m{number}" for number in range(15)))
    bob = open_client(server.url, "bob")
    bob.open()
    bob.core.mark("#general", last)
    shown = bob.texts()
    assert "first" not in shown
    bob.core.open_thread("#general", root + 3)  # a reply that bob's client has never seen
    bob.wait(lambda: bob.thread_root == root and len(bob.thread.lines) == 10)
    assert not bob.thread.is_complete
    bob.core.load_thread()
    bob.wait_thread("first", *(f"r{number}" for number in range(15)))
    assert (bob.thread.is_complete, bob.thread.gaps) == (True, ())
    alice.core.edit("#general", root, "first of all")
    bob.wait(lambda: bob.thread.lines[0].text == "first of all")
    assert bob.texts() == shown  # the channel has no isolated line
    assert bob.channels["#general"].unread == 0


def test_an_open_thread_survives_a_replaced_cache(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    alice = open_client(server.url, "alice")
    alice.open()
    root = talk(alice, "first")
    talk(alice, "second", reply_to=root)
    alice.core.open_thread("#general", root)
    alice.wait_thread("first", "second")
    for file in (tmp_path / "data-alice").rglob("*.db"):
        file.unlink()
    talk(alice, "third", reply_to=root)
    alice.wait_thread("first", "second", "third")
    alice.core.send("#general", "fourth", reply_to=root)
    alice.wait_thread("first", "second", "third", "fourth")


def test_the_thread_of_a_missing_message_is_reported_as_missing(
    server: ChatServer, open_client: Open
) -> None:
    alice = open_client(server.url, "alice")
    alice.open()
    alice.core.open_thread("#general", 999)
    alice.wait(lambda: alice.has_no_thread)
    assert any("no such message" in notice.text for notice in alice.notices)


def test_opening_another_thread_replaces_the_open_one(
    server: ChatServer, open_client: Open
) -> None:
    alice = open_client(server.url, "alice")
    alice.open()
    roots = [talk(alice, "one"), talk(alice, "two")]
    for root, text in zip(roots, ("one", "two"), strict=True):
        alice.core.open_thread("#general", root)
        alice.wait_thread(text)
    talk(alice, "not seen", reply_to=roots[0])
    talk(alice, "seen", reply_to=roots[1])
    alice.wait_thread("two", "seen")
    alice.core.close_thread()
    talk(alice, "not seen", "nor this", reply_to=roots[1])
    assert [line.text for line in alice.thread.lines] == ["two", "seen"]


def test_a_single_line_in_a_gap_is_not_published_to_its_channel(account: Account) -> None:
    updates: list[Update] = []
    channel = account.ensure_channel("#a")
    channel.view.coverage, channel.view.position = Coverage([(1, 10), (20, 30)]), 30
    root, reply = Message("#a", 14, None, "bob", 0), Message("#a", 15, None, "bob", 0, thread=14)
    channel.view.changed.update({14: root, 15: reply, 25: Message("#a", 25, None, "bob", 0)})
    screens = Publisher(account, updates.append, lambda _: None)
    screens.open(channel)
    channel.shown_from = 1
    screens.threads.open(channel, 14)
    updates.clear()
    edited = replace(reply, text="edited", rev=40)
    screens.lines_changed(
        channel, [edited, replace(channel.view.changed[25], text="edited", rev=41)]
    )
    screens.flush()
    (timeline,) = [each for each in updates if isinstance(each, TimelineChanged)]
    (thread,) = [each for each in updates if isinstance(each, ThreadChanged)]
    assert [line.seq for line in timeline.upserts] == [25]
    assert [line.seq for line in thread.change.upserts] == [15]
