"""A Node script with npm's `ws`: a client that shares no code with ours."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from tests.serving import PATIENCE, ChatServer, eventually

StartNode = Callable[..., "subprocess.Popen[str]"]


def output(process: subprocess.Popen[str]) -> list[str]:
    """Wait until `process` succeeds; return its lines."""
    text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    return text.splitlines()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_counter_counts_once_a_second_until_close(
    server: ChatServer, start_node: StartNode
) -> None:
    before = server.burden()
    process = start_node("counter.js", f"{server.url}/counter")
    assert read_line(process) == "0"
    arrived = [time.monotonic()]

    connections, tasks, timers = before
    assert server.burden() == (connections + 1, tasks, timers + 1)

    for number in range(1, 11):
        assert read_line(process) == str(number)
        arrived.append(time.monotonic())
    # A busy machine may be late, but never early; a wrong clock drifts.
    late = [at - arrived[0] - number for number, at in enumerate(arrived)]
    assert max(late[-1] - before for before in late[:6]) > -0.5, late
    assert min(late[-3:]) < 1.5, late
    assert output(process) == []
    eventually(lambda: server.burden() == before, "the server releases the counter's client")


def test_a_counter_ends_with_a_client_that_is_killed(
    server: ChatServer, start_node: StartNode
) -> None:
    before = server.burden()
    process = start_node("counter.js", f"{server.url}/counter")
    assert read_line(process) == "0"
    assert server.burden() != before
    process.kill()
    eventually(lambda: server.burden() == before, "the server releases the killed client")


def test_echo_returns_a_message(server: ChatServer, start_node: StartNode) -> None:
    before = server.burden()
    assert output(start_node("echo.js", f"{server.url}/echo")) == ["Hello"]
    eventually(lambda: server.burden() == before, "the server releases the echo's client")


def test_a_node_client_can_use_the_protocol(server: ChatServer, start_node: StartNode) -> None:
    before = server.burden()
    assert output(start_node("chat.js", server.url)) == [
        "welcome node",
        "joined #general",
        "event Grüße 🎉",
        "ok true",
    ]
    eventually(lambda: server.burden() == before, "the server releases the session")
