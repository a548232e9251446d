"""Several addresses of one server: which one the client uses, and what it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.model.state import Link
from chat.errors import ErrorCode
from chat.protocol.commands import Command, Hello
from chat.protocol.frames import Bye, ErrorFrame
from chat.protocol.values import Wire
from tests.client.fake_server import FakeServer
from tests.client.piped import Client
from tests.client.screen import Screen
from tests.proxy import Proxy
from tests.serving import ChatServer, Peer, free_port

Open = Callable[..., Screen]
MakeClient = Callable[..., Client]
StartFake = Callable[..., FakeServer]
HOUR = 3600.0
"""A reconnect window that no test waits for."""


@pytest.fixture
def both(start_fake: StartFake) -> tuple[FakeServer, FakeServer]:
    """Two addresses that show the same server id."""
    return start_fake(), start_fake()


def _online(screen: Screen, server: FakeServer) -> None:
    screen.wait(lambda: server.connections == 1 and screen.connection.link is Link.ONLINE)


@pytest.mark.feature("around.addresses")
def test_client_stays_with_the_first_address_that_works(
    both: tuple[FakeServer, FakeServer], open_client: Open
) -> None:
    first, second = both
    screen = open_client(f"ws://127.0.0.1:{free_port()},{first.url},{second.url}")
    for hellos in (1, 2, 3):
        _online(screen, first)
        assert first.count(Hello) == hellos
        first.end(4008, "too slow")  # the server works
        screen.wait(lambda: screen.connection.link is not Link.ONLINE)
    _online(screen, first)
    assert second.count(Hello) == 0


def test_client_continues_at_the_next_address_at_once_after_bye(
    both: tuple[FakeServer, FakeServer], open_client: Open
) -> None:
    screen = open_client(",".join(server.url for server in both))
    for present, following in (both, both[::-1]):
        _online(screen, present)
        present.tell(Bye(reason="the server is stopping", reconnect=HOUR))
        present.end(1001)
        _online(screen, following)


def test_client_continues_at_the_next_address_when_a_connection_breaks(
    both: tuple[FakeServer, FakeServer], open_client: Open
) -> None:
    screen = open_client(",".join(server.url for server in both))
    for present, following in (both, both[::-1]):
        _online(screen, present)
        present.cut()
        _online(screen, following)


@pytest.mark.parametrize("fault", ["unavailable", "no answer", "closed"])
def test_client_skips_an_address_that_signs_nobody_in(
    both: tuple[FakeServer, FakeServer], open_client: Open, fault: str
) -> None:
    first, second = both

    def intercept(command: Command) -> Wire | None:
        if isinstance(command, Hello) and fault == "unavailable":
            return ErrorFrame(
                id=command.id, code=ErrorCode.UNAVAILABLE, message="no database", retryable=True
            )
        if isinstance(command, Hello) and fault == "closed":
            first.cut()
        return FakeServer.SILENCE

    first.intercept = intercept
    screen = open_client(f"{first.url},{second.url}")
    _online(screen, second)


async def test_all_addresses_share_the_token_the_cache_and_the_outbox(
    server: ChatServer, open_client: Open, make_client: MakeClient, tmp_path: Path
) -> None:
    async with (
        Peer.signed_in(server.url, "reader") as reader,
        Proxy(server.port) as second,
    ):
        await reader.join("#general")
        async with Proxy(server.port) as first:
            alice = open_client(f"{first.url},{second.url}")
            await asyncio.to_thread(alice.open)
            alice.core.send("#general", "one")
            await asyncio.to_thread(alice.wait_texts, "one")
        alice.core.send("#general", "two")  # the first address is down
        await asyncio.to_thread(alice.wait_texts, "one", "two")
        alice.stop()
        dead = free_port()
        script = make_client(f"ws://127.0.0.1:{dead},{second.url}", "alice")
        sent = await asyncio.to_thread(script.run, "send", "#general", "three")
        assert (sent.returncode, sent.stderr) == (0, "")
        for text in ("one", "two", "three"):
            event = await reader.next_event("#general", "message")
            assert (event.author, event.text) == ("alice", text)
    assert len(list((tmp_path / "data-alice" / "servers").rglob("outbox.db"))) == 1
