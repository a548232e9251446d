"""Standard streams that are closed, full or not a terminal: one clear error, or no effect."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.client.platform.stdio import report_unsent
from tests import processes
from tests.serving import PATIENCE, ChatServer, Peer, free_port

SCRIPTS = sysconfig.get_path("scripts")
SERVER, CLIENT = f"{SCRIPTS}/chat-server", f"{SCRIPTS}/chat-client"
Shell = Callable[[str], subprocess.CompletedProcess[str]]
CLOSINGS = ("<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home folder of all tests here, so that `bot` keeps its token."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def shell(home: Path) -> Shell:
    """Return a function that runs a shell command."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")}
    places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(home))

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            env={**inherited, **places},
            timeout=3 * PATIENCE,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """Return a running server for all tests here; it knows `ada`."""
    with ChatServer(tmp_path_factory.mktemp("server") / "data") as running:

        async def sign_in() -> None:
            async with Peer.signed_in(running.url, "ada"):
                pass

        asyncio.run(sign_in())
        yield running


@pytest.mark.parametrize(
    "line",
    [
        f"{CLIENT} --name me </dev/null",
        f"echo hi | {CLIENT}",
        f"echo hi | {CLIENT} --demo",
        f"{CLIENT} --name me <&- >&-",
    ],
)
def test_without_a_terminal_the_error_names_the_alternatives(shell: Shell, line: str) -> None:
    done = shell(line)
    assert done.returncode == 2
    assert "chat-client send" in done.stderr
    assert "--plain" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (f"{SERVER} schema", ">/dev/full"),
        (f"{SERVER} schema", ">&-"),
        (f"{SERVER} --version", ">&-"),
        (f"{SERVER} --help", ">/dev/full"),
        (f"{SERVER} token ada --data {{data}}", ">/dev/full"),
        (f"{CLIENT} --version", ">/dev/full"),
        (f"{CLIENT} --help", ">&-"),
        (f"{CLIENT} send --help", ">/dev/full"),
        (f"{CLIENT} export '#general' --name bot --url {{url}}", ">/dev/full"),
        (f"{CLIENT} export '#general' --name bot --url {{url}}", ">&-"),
        (f"{CLIENT} tail '#general' --name bot --url {{url}}", ">/dev/full"),
        (f"echo /help | {CLIENT} --plain --name bot --url {{url}}", ">/dev/full"),
        (f"echo /help | {CLIENT} --plain --name bot --url {{url}}", ">&-"),
    ],
)
def test_unwritable_output_is_one_line_and_exit_code_1(
    shell: Shell,
    server: ChatServer,
    command: str,
    output: str,
) -> None:
    done = shell(f"{command.format(url=server.url, data=server.data)} {output}")
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("cannot write to standard output: ") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closing", CLOSINGS)
def test_commands_with_closed_streams_end_without_a_traceback(
    shell: Shell, server: ChatServer, tmp_path: Path, closing: str
) -> None:
    send = f"{CLIENT} send '#general' hi --name bot --url {server.url}"
    assert shell(f"{send} {closing}").returncode == 0
    for command in (f"{CLIENT} send '#general' hi", f"{CLIENT} --plain --name b", f"{SERVER} nope"):
        done = shell(f"{command} --url ws://127.0.0.1:{free_port()} --timeout 1 {closing}")
        assert done.returncode in (1, 2, 4), done
        assert "Traceback" not in done.stderr
    assert (
        shell(f"{SERVER} backup {tmp_path}/copy.db --data {server.data} {closing}").returncode == 0
    )


@pytest.mark.parametrize("streams", [*CLOSINGS, ">/dev/full", ">/dev/full 2>/dev/full"])
def test_a_server_works_with_closed_or_full_streams(tmp_path: Path, streams: str) -> None:
    port = free_port()
    line = f"exec {SERVER} --port {port} --data {tmp_path}/data {streams}"
    running = subprocess.Popen(["sh", "-c", line], stderr=subprocess.PIPE, encoding="utf-8")
    try:
        url = f"ws://127.0.0.1:{port}"
        for number in range(2):
            send = ("chat-client", "send", "#general", f"{number}", "--name", "bot", "--url", url)
            done = processes.run(
                [*send, "--timeout", "30"], stdin="", env={**os.environ}, timeout=3 * PATIENCE
            )
            assert done.returncode == 0, done.stderr
    finally:
        running.terminate()
        _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert "Traceback" not in errors
    if "2>" not in streams and ">" in streams.replace("<&-", ""):
        assert errors.count("cannot write to standard output") == 1


@pytest.mark.parametrize("command", ["send '#general'", "send '#general' --lines", "--plain"])
def test_unreadable_input_is_one_line_and_exit_code_2(
    shell: Shell, server: ChatServer, command: str
) -> None:
    done = shell(f"{CLIENT} {command} --name bot --url {server.url} 0>/dev/null")
    assert done.returncode == 2
    assert "cannot read standard input: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_unsent_messages_are_counted_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    for count in (1, 2):
        report_unsent(count, [])
    assert capsys.readouterr().err.splitlines() == [
        "1 message has not been sent yet; the next chat-client sends it.",
        "2 messages have not been sent yet; the next chat-client sends them.",
    ]
