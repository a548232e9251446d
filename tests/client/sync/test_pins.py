"""Pins on two clients: both show and count them, and drop them with the message."""

from __future__ import annotations

from collections.abc import Callable

from chat.protocol.commands import History
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer


def test_pins_are_shown_counted_and_removed_with_the_message(
    server: ChatServer, open_client: Callable[..., Screen]
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
    for text in ("one", "two"):
        alice.core.send("#general", text)
    bob.wait_texts("one", "two")
    one, two = (line.seq or 0 for line in bob.lines() if line.kind == "message")
    bob.core.pin("#general", one)
    bob.core.pin("#general", two)
    for screen in (alice, bob):
        screen.wait(lambda screen=screen: screen.channels["#general"].pins == 2)  # type: ignore[misc]
        screen.wait(lambda screen=screen: all(m.pinned for m in screen.lines()[-2:]))  # type: ignore[misc]
    alice.core.delete("#general", one)
    bob.wait(lambda: bob.channels["#general"].pins == 1)
    page = bob.core.ask(History(channel="#general", pins=True)).result(PATIENCE)
    assert [(item.seq, item.text, item.pinned) for item in page.items] == [(two, "two", True)]
    carol = open_client(server.url, "carol")  # counts pins of unread messages
    carol.open()
    carol.wait(lambda: carol.channels["#general"].pins == 1)
    bob.core.pin("#general", two, remove=True)
    carol.wait(lambda: carol.channels["#general"].pins == 0)
    carol.wait(lambda: not any(line.pinned for line in carol.lines()))
