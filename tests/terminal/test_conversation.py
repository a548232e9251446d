"""Two users in two real terminals: each sees the other's messages, despite crashes."""

from __future__ import annotations

import os
import signal
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving import ChatServer, Peer
from tests.terminal.tmux import Terminal

Open = Callable[..., Terminal]


@pytest.fixture
def open_client(tmp_path: Path) -> Iterator[Open]:
    """Open clients: `open_client("alice", url)`; each user keeps one home folder."""
    with ExitStack() as stack:

        def open_one(name: str, url: str, columns: int = 80, rows: int = 24) -> Terminal:
            home = tmp_path / f"home-{name}"
            terminal = stack.enter_context(Terminal(home, columns, rows))
            terminal.run("chat-client", "--name", name, "--url", url)
            return terminal

        yield open_one


def test_a_message_travels_both_ways(server: ChatServer, open_client: Open) -> None:
    alice, bob = open_client("alice", server.url), open_client("bob", server.url)
    for terminal in (alice, bob):
        terminal.wait_for("#general")
        terminal.wait_for("online")
    alice.type("hello from alice")
    alice.keys("Enter")
    bob.wait_for("hello from alice")
    bob.type("and back")
    bob.keys("Enter")
    alice.wait_for("and back")


def test_every_message_is_stored_once_after_kill_9_of_the_server(
    server: ChatServer, open_client: Open
) -> None:
    alice, bob = open_client("alice", server.url), open_client("bob", server.url)
    for terminal in (alice, bob):
        terminal.wait_for("online")
    alice.type("before the crash")
    alice.keys("Enter")
    bob.wait_for("before the crash")
    server.kill()
    alice.wait_for("no server")
    alice.type("typed while it was away")
    alice.keys("Enter")
    server.start()
    for terminal in (alice, bob):
        screen = terminal.wait_for("typed while it was away")
        assert screen.count("typed while it was away") == 1
        assert screen.count("before the crash") == 1
        assert screen.index("before the crash") < screen.index("typed while it was away")


async def test_clients_continue_after_a_crash_of_the_server(
    server: ChatServer, open_client: Open
) -> None:
    people = [open_client(name, server.url) for name in ("alice", "bob", "carol")]
    for terminal in people:
        terminal.wait_for("online")
    said: list[str] = []

    def say(terminal: Terminal, text: str) -> None:
        terminal.type(text)
        terminal.keys("Enter")
        said.append(text)
        for everybody in people:
            everybody.wait_for(text)

    async with Peer.signed_in(server.url, "walter") as walter:
        token = walter.token
        await walter.join("#general")
        for turn, terminal in enumerate(people):
            say(terminal, f"line {turn} before")
        await walter.say("walter before")
        said.append("walter before")
        for terminal in people:
            terminal.wait_for("walter before")
        server.kill()
        assert await walter.close_code() in (None, 1006)
    server.start()
    for terminal in people:
        terminal.wait_for("online")
    async with Peer.connect(server.url) as walter:
        await walter.hello("walter", token)
        joined = await walter.join("#general")
        for turn, terminal in enumerate(people):
            say(terminal, f"line {turn} after")
            await walter.next_event("#general", "message")
        log = [item.text for item in joined.items if item.kind == "message"]
        assert log == said[:4]
    for terminal in people:
        screen = terminal.screen()
        places = [screen.index(text) for text in said]
        assert places == sorted(places), screen
        assert all(screen.count(text) == 1 for text in said), screen


def test_typed_text_survives_kill_9_of_the_client(server: ChatServer, open_client: Open) -> None:
    alice, bob = open_client("alice", server.url), open_client("bob", server.url)
    for terminal in (alice, bob):
        terminal.wait_for("online")
    server.kill()
    alice.wait_for("no server")
    alice.type("from beyond")
    alice.keys("Enter")
    alice.wait_for("from beyond")
    os.kill(alice.pid, signal.SIGKILL)
    server.start()
    again = open_client("alice", server.url)
    again.wait_for("from beyond")
    bob.wait_for("from beyond")
    assert bob.screen().count("from beyond") == 1


def test_quitting_restores_the_terminal_and_exits_with_0(
    server: ChatServer, tmp_path: Path
) -> None:
    with Terminal(tmp_path / "home") as terminal:
        terminal.run(
            *("sh", "-c", '"$0" --name alice --url "$1"; echo "it ended with $?"; sleep 60'),
            *(str(Path(sysconfig.get_path("scripts")) / "chat-client"), server.url),
        )
        terminal.wait_for("online")
        terminal.type("/quit")
        terminal.keys("Enter")
        screen = terminal.wait_for("it ended with 0")
        assert "#general" not in screen


def test_without_a_server_the_client_explains_how_to_start_one_and_retries(
    tmp_path: Path, open_client: Open
) -> None:
    server = ChatServer(tmp_path / "data")
    alice = open_client("alice", server.url)
    alice.wait_for("chat-server")
    with server:
        alice.wait_for("online")
