"""What the core publishes when something changes."""

from __future__ import annotations

from collections.abc import Callable

from tests.client.screen import Screen
from tests.serving import ChatServer


def test_a_message_publishes_its_channel_and_not_the_whole_list(
    server: ChatServer, open_client: Callable[..., Screen]
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
        screen.core.join("#tea").result(20)
        screen.wait(lambda screen=screen: "#tea" in screen.channels)  # type: ignore[misc]
    lists = bob.whole_lists
    alice.core.send("#tea", "hello")
    bob.wait(lambda: bob.channels["#tea"].unread == 1)
    bob.core.mark("#tea", bob.channels["#tea"].head)
    bob.wait(lambda: bob.channels["#tea"].unread == 0)
    bob.core.save_draft("#tea", "not yet")
    bob.wait(lambda: bob.channels["#tea"].has_draft)
    bob.core.save_draft("#tea", "")
    bob.core.leave("#tea").result(20)
    bob.wait(lambda: "#tea" not in bob.channels)
    assert bob.whole_lists == lists
