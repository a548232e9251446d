"""What the core publishes when something changes."""

from __future__ import annotations

from collections.abc import Callable

from chat.client.model.state import Notice
from chat.client.sync.publisher import UpdateQueue
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


def test_after_too_many_updates_everything_fits_however_much_it_is() -> None:
    queue = UpdateQueue(lambda: None, most=3)
    notices = [Notice(str(number)) for number in range(8)]
    for notice in notices[:4]:
        queue.put(notice)
    assert queue.drain() == ([], True)
    queue.put(notices[4])  # dropped as well: it is part of what `put_whole` brings
    assert queue.drain() == ([], False)

    def everything() -> None:
        for notice in notices:
            queue.put(notice)

    queue.put_whole(everything)
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
