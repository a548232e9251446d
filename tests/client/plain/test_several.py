"""`chat-client --plain` on two servers: what is said of the one behind begins with its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving import ChatServer, Peer
from tests.terminal.raw import RawTerminal


@pytest.mark.feature("around.servers")
async def test_lines_of_the_server_behind_bear_its_name(
    tmp_path: Path, start_server: Callable[..., ChatServer]
) -> None:
    tea, work = start_server("--server-name", "Tea"), start_server("--server-name", "Work")
    terminal = RawTerminal(
        tmp_path, "chat-client", "--plain", "--name", "me", "--url", tea.url, "--url", work.url
    )

    def hears(line: str) -> None:
        ends = f"{line}\r\n".encode()  # the first one follows what asks to mark pastes
        terminal.wait(lambda: re.search(rb"[\nh]" + re.escape(ends), terminal.output), line)

    try:
        hears("Connected to Tea as me.")
        terminal.wait(lambda: b": Connected to Work as me." in terminal.output, "both")
        # Who joins before it follows the channel is no news; then `/who` knows who is there.
        terminal.send(b"/server work\n")
        hears("You are in #general on Work.")
        terminal.send(b"/who\n/server tea\n")
        terminal.wait(lambda: b"me, online" in terminal.output, "it follows the channel")
        again = b"\nYou are in #general on Tea."
        terminal.wait(lambda: again in terminal.output, "it is back")
        async with (
            Peer.signed_in(tea.url, "alice") as alice,
            Peer.signed_in(work.url, "bob") as bob,
        ):
            await alice.join("#general")
            await bob.join("#general")
            hears("Work: bob joined #general.")
            await alice.say("kettle")
            await bob.say("stand-up")
            hears("alice in #general: kettle")
            hears("Work: bob in #general: stand-up")

            tea.kill()
            terminal.send(b"/server\n")
            hears("Servers. Use /server NAME to switch to one:")
            terminal.send(b"/server work\n")
            hears("You are in #general on Work. 1 unread.")
            terminal.wait(lambda: b"\nTea: Not connected" in terminal.output, "it is down")
            terminal.send(b"here\n")
            while (await bob.next_event("#general", "message")).text != "here":
                pass
            terminal.send(b"/disconnect tea\n/disconnect\n")
            terminal.wait(lambda: b"Removed " in terminal.output, "it is left")
            terminal.wait(lambda: b"Cannot remove your only server" in terminal.output, "one stays")
    finally:
        terminal.close()
