"""A client under a shell: stopped, continued, in the background, and with an editor."""

from __future__ import annotations

import os
import signal
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.fake_server import FakeServer
from tests.serving import eventually
from tests.terminal.tmux import Terminal

EDITOR = "sh -c 'echo in the editor; read line'"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer().start()
    fake.say("bob", "said before it all")
    yield fake
    fake.close()


@pytest.fixture
def shell(tmp_path: Path, server: FakeServer) -> Iterator[Terminal]:
    """Return a shell whose job is a client."""
    with Terminal(tmp_path) as terminal:
        terminal.run("bash", "--norc", "--noprofile")
        script = Path(sysconfig.get_path("scripts")) / "chat-client"
        terminal.type(f"export COLUMNS=33 LINES=7; EDITOR={EDITOR!r} ")
        terminal.type(f"{script} --name me --url {server.url}")
        terminal.keys("Enter")
        is_painted(terminal)
        yield terminal
        terminal.keys("C-q")
        terminal.wait_for("bash-")


def client_of(shell: Terminal) -> int:
    """Return the process id of the shell's only job."""
    children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")
    (child,) = children.read_text().split()
    return int(child)


def stop(shell: Terminal, how: signal.Signals) -> None:
    os.kill(client_of(shell), how)
    shell.wait_for("Stopped")


def foreground(shell: Terminal) -> None:
    """Continue the job; return when it has the terminal: earlier keys would be the shell's."""
    shell.type("fg")
    shell.keys("Enter")

    def has_terminal() -> bool:
        status = Path(f"/proc/{shell.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        group, foreground_group = status[2], status[5]
        return foreground_group != group

    eventually(has_terminal, "the job has the terminal")


def is_painted(shell: Terminal) -> None:
    """Wait until the client's screen fills the terminal."""
    shell.wait_for("said before it all")
    shell.wait_until_gone("Stopped")

    def is_whole() -> bool:
        rows = shell.screen().splitlines()
        return "online" in rows[shell.rows - 1] and "help" in rows[shell.rows - 1]

    eventually(is_whole, f"the last line of the screen\n{shell.screen()}")


@pytest.mark.parametrize("how", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_stopped_client_is_painted_again_in_the_foreground(
    shell: Terminal, how: signal.Signals
) -> None:
    for _ in range(2):
        stop(shell, how)
        foreground(shell)
        is_painted(shell)

    def is_typed() -> bool:
        shell.type("x")  # what is typed before the terminal is taken again is lost
        return "› x" in shell.screen()

    eventually(is_typed, "the composer takes keys")


@pytest.mark.parametrize("how", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_dialog_is_also_painted_again(shell: Terminal, how: signal.Signals) -> None:
    shell.keys("C-k")
    shell.wait_for("Go to a channel")
    stop(shell, how)
    foreground(shell)
    is_painted(shell)
    shell.wait_for("Go to a channel")

    def is_closed() -> bool:
        shell.keys("Escape")  # what is typed before the terminal is taken again is lost
        return "Go to a channel" not in shell.screen()

    eventually(is_closed, "the dialog takes keys")


def test_a_client_in_the_background_leaves_the_terminal_alone(shell: Terminal) -> None:
    stop(shell, signal.SIGTSTP)
    shell.type("bg; echo the shell goes on")
    shell.keys("Enter")
    shell.wait_for("the shell goes on", times=2)
    foreground(shell)
    is_painted(shell)


def test_ctrl_z_in_the_editor_stops_both_and_the_screen_is_restored(shell: Terminal) -> None:
    shell.type("half a thought")
    shell.wait_for("half a thought")
    shell.keys("M-e")
    shell.wait_for("in the editor")
    shell.keys("C-z")
    shell.wait_for("Stopped")
    foreground(shell)
    shell.keys("Enter")  # ends the editor
    is_painted(shell)
    shell.wait_for("half a thought")
    shell.type(", continued")
    shell.wait_for("half a thought, continued")


def test_the_screen_follows_the_size_of_the_terminal(shell: Terminal) -> None:
    shell.rows, shell.columns = 30, 100
    shell.resize(100, 30)
    is_painted(shell)
