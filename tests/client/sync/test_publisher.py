"""The updates that the core publishes after changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from chat.client.model.state import Delivery, Message, Notice, TimelineChanged, Update
from chat.client.storage.account import Account
from chat.client.storage.outbox import new_row
from chat.client.sync.publisher import Publisher, UpdateQueue
from chat.protocol.commands import Join, Leave
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer


def test_a_message_publishes_its_channel_and_not_the_whole_list(
    server: ChatServer, open_client: Callable[..., Screen]
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
        screen.core.ask(Join(channel="#tea")).result(PATIENCE)
        screen.wait(lambda screen=screen: "#tea" in screen.channels)  # type: ignore[misc]
    lists = bob.whole_lists
    alice.core.send("#tea", "hello")
    bob.wait(lambda: bob.channels["#tea"].unread == 1)
    bob.core.mark("#tea", bob.channels["#tea"].head)
    bob.wait(lambda: bob.channels["#tea"].unread == 0)
    bob.core.save_draft("#tea", "not yet")
    bob.wait(lambda: bob.channels["#tea"].has_draft)
    bob.core.save_draft("#tea", "")
    bob.core.ask(Leave(channel="#tea")).result(PATIENCE)
    bob.wait(lambda: "#tea" not in bob.channels)
    assert bob.whole_lists == lists


def test_a_repaint_after_an_overflow_has_no_limit() -> None:
    queue = UpdateQueue(lambda: None, most=3)
    notices = [Notice(str(number)) for number in range(8)]
    for notice in notices[:4]:
        queue.put(notice)
    assert queue.drain() == ([], True)
    queue.put(notices[4])  # dropped as well: `put_all` includes it
    assert queue.drain() == ([], False)

    def publish_all() -> None:
        for notice in notices:
            queue.put(notice)

    queue.put_all(publish_all)
    queue.put(notices[0])
    assert queue.drain() == ([*notices, notices[0]], False)
    for notice in notices[:4]:
        queue.put(notice)
    assert queue.drain() == ([], True)


def test_the_screens_are_woken_once_until_they_drain() -> None:
    woken: list[None] = []
    queue = UpdateQueue(lambda: woken.append(None))
    for _ in range(3):
        queue.put(Notice("something"))
    assert len(woken) == 1
    queue.drain()
    queue.put(Notice("something"))
    assert len(woken) == 2


def test_a_line_confirmed_before_publishing_is_published_once(tmp_path: Path) -> None:
    updates: list[Update] = []
    account = Account(tmp_path / "a", "alice", changed=lambda: None, report=print)
    screens = Publisher(account, updates.append, lambda tell: None)
    channel = account.ensure_channel("#c")
    screens.open(channel)
    updates.clear()
    waiting = Message("#c", None, "cid", "alice", 1, delivery=Delivery.PENDING)
    screens.lines_changed(channel, [waiting])
    screens.lines_changed(channel, [replace(waiting, seq=1, delivery=Delivery.SENT)])
    screens.flush()
    account.close()
    (update,) = (each for each in updates if isinstance(each, TimelineChanged))
    assert [line.delivery for line in update.upserts] == [Delivery.SENT]


def test_a_row_sent_by_another_client_on_the_file_is_not_shown_as_pending(
    account: Account,
) -> None:
    updates: list[Update] = []
    channel = account.ensure_channel("#c")
    row = new_row({"type": "send", "channel": "#c", "text": "tea"})
    account.outbox.add(row)
    channel.view.coverage.add(1, 1)
    channel.view.position = 1
    channel.view.changed[1] = Message("#c", 1, row.cid, "Me", 1, text="tea")
    Publisher(account, updates.append, lambda tell: None).open(channel)
    assert isinstance(updates[0], TimelineChanged)
    assert [(line.seq, line.text) for line in updates[0].upserts] == [(1, "tea")]
    assert not account.outbox.has_pending
