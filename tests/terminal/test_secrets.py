"""Passwords and codes typed in both interfaces: they work, and no client file or log has them."""

from __future__ import annotations

import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.errors import ErrorCode
from chat.protocol.commands import AccountCommand, Command, CreateLink, Hello, SetPassword
from chat.protocol.frames import Account, AccountInfo, ErrorFrame, LinkCode
from chat.protocol.values import Wire
from tests.client.fake_server import FakeServer
from tests.terminal.raw import RawTerminal

PASSWORD, LINK = "correct-horse-battery", "7K3QX-9MZ2T"
FACES = [["--plain"], []]
Open = Callable[..., RawTerminal]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Return a server with accounts, where `me` has no password."""
    server = FakeServer()
    server.features = ("hidden", "accounts")
    server.start()
    yield server
    server.close()


@pytest.fixture
def start(tmp_path: Path, server: FakeServer) -> Iterator[Open]:
    """Return a function that starts clients with the most detailed log."""
    terminals: list[RawTerminal] = []

    def open_one(*flags: str) -> RawTerminal:
        log = ("--log-file", str(tmp_path / "log"), "--log-level", "debug")
        flags = (*flags, *log, "--name", "me", "--url", server.url)
        terminals.append(RawTerminal(tmp_path, "chat-client", *flags))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()


def assert_nowhere(secret: str, folder: Path) -> None:
    for file in filter(Path.is_file, folder.rglob("*")):
        assert secret.encode() not in file.read_bytes(), file


def answer(command: Command) -> Wire | None:
    match command:
        case AccountCommand():
            return Account(account=AccountInfo(name="me", created=1))
        case CreateLink():
            return LinkCode(code=LINK, expires=1_780_000_000_000)
    return None


def asks(terminal: RawTerminal, question: bytes) -> None:
    """Wait for a question that was not on the terminal before."""
    terminal.wait(lambda: question in terminal.output, question.decode())
    del terminal.output[:]


@pytest.mark.parametrize("face", FACES, ids=["plain", "screens"])
def test_a_password_is_typed_unseen_and_stored_nowhere(
    start: Open, server: FakeServer, tmp_path: Path, face: list[str]
) -> None:
    server.intercept = answer
    terminal = start(*face)
    terminal.wait(lambda: b"online" in terminal.output or b"Connected" in terminal.output, "ready")
    terminal.send(b"/password\r")
    asks(terminal, b"New password")
    terminal.send(PASSWORD.encode())
    terminal.send(b"\r")
    terminal.wait(lambda: b"Repeat" in terminal.output, "the second question")
    terminal.send(PASSWORD.encode())
    terminal.send(b"\r")
    terminal.wait(lambda: b"Password set" in terminal.output, "the command is done")
    sent = [command for command in server.commands if isinstance(command, SetPassword)]
    assert [command.password for command in sent] == [PASSWORD]
    assert not terminal.line_modes() & termios.ECHO
    assert PASSWORD.encode() not in terminal.output
    terminal.send(b"half a sentence")
    terminal.wait(lambda: b"sentence" in terminal.output, "messages can be typed again")
    terminal.close()
    assert_nowhere(PASSWORD, tmp_path)


@pytest.mark.parametrize("face", FACES, ids=["plain", "screens"])
def test_a_link_code_is_shown_once_and_stored_nowhere(
    start: Open, server: FakeServer, tmp_path: Path, face: list[str]
) -> None:
    server.intercept = answer
    terminal = start(*face)
    terminal.wait(lambda: b"online" in terminal.output or b"Connected" in terminal.output, "ready")
    terminal.send(b"/link\r")
    terminal.wait(lambda: LINK.encode() in terminal.output, "the code is shown")
    terminal.close()
    assert_nowhere(LINK, tmp_path)


def demand(command: Command) -> Wire | None:
    if isinstance(command, Hello) and command.password != PASSWORD:
        return ErrorFrame(code=ErrorCode.BAD_TOKEN, message="no", retryable=False)
    return None


@pytest.mark.parametrize("face", FACES, ids=["plain", "screens"])
def test_a_password_signs_in_where_the_server_asks_for_it(
    start: Open, server: FakeServer, tmp_path: Path, face: list[str]
) -> None:
    server.intercept = demand
    terminal = start(*face)
    if face:
        terminal.wait(lambda: b"/signin password" in terminal.output, "the instructions are shown")
        terminal.send(b"/signin password\r")
    else:
        terminal.wait(lambda: b"Use your password" in terminal.output, "the dialog")
        terminal.wait(lambda: b"Type another name" in terminal.output, "the dialog takes keys")
        terminal.send(b"\x1b[B\r")
    asks(terminal, b"Password of me")
    terminal.send(PASSWORD.encode())
    terminal.send(b"\r")
    terminal.wait(lambda: b"online" in terminal.output or b"Connected" in terminal.output, "in")
    assert PASSWORD.encode() not in terminal.output
    terminal.close()
    assert_nowhere(PASSWORD, tmp_path)
