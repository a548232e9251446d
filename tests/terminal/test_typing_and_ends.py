"""Split, late and unwanted terminal input, and the ways in which a client ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.fake_server import FakeServer
from tests.client.piped import Client
from tests.serving import PATIENCE, eventually
from tests.terminal.raw import RawTerminal

START, END = b"\x1b[200~", b"\x1b[201~"
BEHIND = 1.0
"""Maximum seconds between typing and saving a draft."""
MOMENT = 0.1
"""Maximum seconds between two echoes of a client that is not starved of processor time."""
CLOSED = ["closed", "closed with SIGHUP and SIGCONT", "closed with SIGHUP again and again"]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer().start()
    yield fake
    fake.close()


@pytest.fixture
def terminal(tmp_path: Path, server: FakeServer) -> Iterator[RawTerminal]:
    terminal = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", server.url)
    try:
        terminal.wait(lambda: b"online" in terminal.output, "the client is connected")
        yield terminal
    finally:
        terminal.close()


def said(server: FakeServer) -> list[str | None]:
    """Return the sent messages."""
    return [event.text for event in server.logs["#general"].events if event.kind == "message"]


def wait_for_said(terminal: RawTerminal, server: FakeServer, *texts: str) -> None:
    terminal.wait(lambda: len(said(server)) >= len(texts), f"{texts} was sent")
    assert said(server) == list(texts)


LEGACY = (b"\x1b\r", b"\n")  # Alt+Enter, Ctrl+J; Shift+Enter is a plain Enter there
OTHER_KEYS = (b"\x1b[27;2;13~", b"\x1b[27;3;13~", b"\x1b[27;5;106~")  # Shift, Alt, Ctrl+J
KITTY = (b"\x1b[13;2u", b"\x1b[13;3u", b"\x1b[106;5u")
ENTERS = (*LEGACY, *OTHER_KEYS, *KITTY)


@pytest.fixture
def _escapes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the end of an incomplete sequence arrive late, as on a busy machine."""
    monkeypatch.setenv("ESCDELAY", "20000")  # in milliseconds


@pytest.mark.feature("writing.keys")
@pytest.mark.usefixtures("_escapes_wait")
def test_alt_enter_and_shift_enter_start_a_line_wherever_the_bytes_are_split(
    terminal: RawTerminal, server: FakeServer
) -> None:
    expected = "0"
    terminal.send(b"0")
    for keys in ENTERS:
        for cut in range(1, len(keys) + 1):
            if keys[:cut] == b"\x1b" and keys != keys[:cut]:
                continue  # a lone ESC is the key Escape once a moment has passed
            terminal.send(keys[:cut])
            time.sleep(0.02)
            terminal.send(keys[cut:] + b"x")
            expected += "\nx"
    terminal.send(b"\r")
    wait_for_said(terminal, server, expected)


@pytest.mark.promise(
    6,
    fault="a paste that contains ESC, CR, Ctrl+Q, Ctrl+C, C1 and the sequence that ends a paste",
    result="it is inserted as text; nothing is sent or closed",
)
def test_a_hostile_paste_stays_text(terminal: RawTerminal, server: FakeServer) -> None:
    inside = b"a\x1bb\rc\r\nd\x11e\x03f\x00g\xc2\x9bh/quit\ri\x1b[13uj"
    escape = END + b"\r/quit\r\x11"
    terminal.send(START + inside + escape + b"x" * 300 + escape + END + b"\r")
    text = "ab\nc\ndefgh/quit\ni[13uj" + "\n/quit\n" + "x" * 300 + "\n/quit"
    wait_for_said(terminal, server, text)
    assert terminal.process.poll() is None


def test_answers_and_reports_are_not_typed(terminal: RawTerminal, server: FakeServer) -> None:
    strays = (
        b"\x1b[?1;2c",  # what it is (DA1)
        b"\x1b[>41;354;0c",  # DA2
        b"\x1b[12;40R",  # where the cursor is
        b"\x1b[0n",
        b"\x1b[?0u",  # kitty's keys
        b"\x1b[?2026;2$y",
        b"\x1bP>|tmux 3.4\x1b\\",  # its version
        b"\x1b]11;rgb:0000/0000/0000\x1b\\",  # its background
        b"\x1b[I",
        b"\x1b[O",
        b"\x1b[I",
        b"\x1b[<35;10;5M",
        b"\x1b[25~",
        b"\x1b[1;9Z",
    )
    for stray in strays:
        terminal.send(b"(" + stray + b")")
        time.sleep(0.15)
    terminal.send(b"\r")
    wait_for_said(terminal, server, "()" * len(strays))


@pytest.mark.promise(
    4,
    fault="SIGTERM, SIGHUP, or the terminal closed in the middle of a sentence, also as tmux does",
    result="the draft is restored at the next start",
)
@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", *CLOSED])
@pytest.mark.feature("writing.drafts")
def test_the_draft_is_saved_however_the_client_ends(
    tmp_path: Path, server: FakeServer, terminal: RawTerminal, how: str
) -> None:
    terminal.send(b"half a thought")
    terminal.wait(lambda: b"thought" in terminal.output, "the text is echoed")
    if how.startswith("SIG"):
        terminal.process.send_signal(signal.Signals[how])
        terminal.wait(lambda: b"\x1b[?1049l" in terminal.output, "the screen is restored")
    else:
        terminal.hang_up()
    if "SIGCONT" in how:
        terminal.process.send_signal(signal.SIGHUP)
        terminal.process.send_signal(signal.SIGCONT)
    if "again" in how:
        eventually(lambda: terminal.hears(signal.SIGHUP), "the client ends")
    assert terminal.process.wait(PATIENCE) == 0
    assert b"Traceback" not in terminal.output
    again = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", server.url)
    try:
        again.wait(lambda: b"half a thought" in again.output, "the draft is restored")
    finally:
        again.close()


FACES = pytest.mark.parametrize("face", [(), ("--plain",)], ids=["screens", "plain"])


def start(home: Path, server: FakeServer, face: tuple[str, ...]) -> RawTerminal:
    """Start a client, and wait until it is connected."""
    terminal = RawTerminal(home, "chat-client", *face, "--name", "me", "--url", server.url)
    ready = b"Connected to" if face else b"online"
    terminal.wait(lambda: ready in terminal.output, "the client is connected")
    return terminal


def is_saved(home: Path, text: bytes) -> bool:
    """Whether the client's file contains a text."""
    return any(text in path.read_bytes() for path in home.rglob("outbox.db*"))


def kill(terminal: RawTerminal) -> None:
    terminal.process.kill()
    terminal.close()


@pytest.mark.promise(
    4,
    fault="`kill -9` of a client during continuous typing",
    result="the draft is restored at the next start; at most the last second is lost",
)
@FACES
@pytest.mark.feature("writing.drafts")
def test_a_draft_is_saved_during_continuous_typing(
    tmp_path: Path, server: FakeServer, face: tuple[str, ...]
) -> None:
    typing = start(tmp_path, server, face)
    typed = 0
    echoed_at: list[float] = []
    clock = last = 0.0

    def echo(number: int) -> bool:
        return f"{number:03} ".encode() in typing.output

    def safe() -> int:
        """Return how many numbers the client has echoed more than a second ago.

        A client without processor time saves nothing and echoes nothing. So its echoes are the
        clock, and each pause between two of them counts as `MOMENT` at most.
        """
        return sum(at <= clock - BEHIND for at in echoed_at)

    def type_on() -> bool:
        """Type a number, record the echoed ones; return whether some must be saved now."""
        nonlocal typed, clock, last
        typing.send(f"{typed:03} ".encode())
        typed += 1
        time.sleep(0.05)
        newest = next(n for n in range(typed, -1, -1) if n == 0 or echo(n - 1))
        if newest > len(echoed_at):
            now = time.monotonic()
            clock, last = clock + min(now - last, MOMENT), now
            echoed_at.extend([clock] * (newest - len(echoed_at)))
        return safe() >= 20

    typing.wait(type_on, "enough is typed")
    kept = safe() - 1
    kill(typing)
    again = start(tmp_path, server, face)
    again.wait(lambda: f"{kept:03}".encode() in again.output, f"{kept:03} is there")
    again.close()


@pytest.mark.promise(
    4,
    fault="`kill -9` of a client while a message is being edited",
    result="the edit is restored at the next start",
)
@FACES
@pytest.mark.feature("writing.drafts")
def test_an_unfinished_edit_survives_kill_9(
    tmp_path: Path, server: FakeServer, face: tuple[str, ...]
) -> None:
    server.say("me", "one mistaek")
    typing = start(tmp_path, server, face)
    typing.wait(lambda: b"mistaek" in typing.output, "the message")
    typing.send(b"/edit\r")
    typing.wait(lambda: typing.output.count(b"one mistaek") >= 2, "its text in the composer")
    typing.send(b", and more")
    typing.wait(lambda: b"more" in typing.output, "the text is echoed")
    eventually(lambda: is_saved(tmp_path, b"one mistaek, and more"), "it is on disk")
    kill(typing)
    again = start(tmp_path, server, face)
    shown = b"Editing message 1" if face else b"Editing your message"
    again.wait(lambda: shown in again.output, "the purpose of the text")
    again.wait(lambda: b"one mistaek, and more" in again.output, "the text is shown")
    again.send(b"\r")
    again.wait(lambda: len(server.logs["#general"].events) == 2, "the edit is sent")
    edit = server.logs["#general"].events[1]
    assert (edit.kind, edit.target, edit.text) == ("edit", 1, "one mistaek, and more")
    again.close()


def test_lines_from_a_pipe_neither_use_nor_lose_a_draft(tmp_path: Path, server: FakeServer) -> None:
    server.say("me", "first")
    typing = start(tmp_path, server, ("--plain",))
    typing.wait(lambda: b"first" in typing.output, "the message")
    typing.send(b"/edit\r")
    typing.wait(lambda: b"Editing message 1" in typing.output, "the edit")
    typing.process.send_signal(signal.SIGINT)
    typing.process.wait(PATIENCE)
    typing.close()
    piped = Client(tmp_path / "unused", server.url, "me")
    piped.flags = ("--name", "me", "--url", server.url)
    piped.variables = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME")}
    assert piped.run("--plain", stdin="second\n").returncode == 0
    assert said(server) == ["first", "second"]
    again = start(tmp_path, server, ("--plain",))
    again.wait(lambda: b"Editing message 1" in again.output, "the edit is restored")
    again.close()


def test_a_resumed_process_restores_its_screen(terminal: RawTerminal, server: FakeServer) -> None:
    terminal.send(b"one")
    terminal.wait(lambda: b"one" in terminal.output, "the text is echoed")
    threads = Path(f"/proc/{terminal.process.pid}/task")
    before = len(list(threads.iterdir()))
    for _ in range(3):
        terminal.process.send_signal(signal.SIGSTOP)
        terminal.output.clear()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait(lambda: b"\x1b[?1049h" in terminal.output, "the alternate screen is active")
        terminal.wait(lambda: b"one" in terminal.output, "the screen is painted again")
    terminal.send(b", two" * 40 + b"\r")
    wait_for_said(terminal, server, "one" + ", two" * 40)
    terminal.wait(lambda: len(list(threads.iterdir())) == before, "no thread is left over")


def test_a_blocked_terminal_keeps_its_connection(tmp_path: Path, server: FakeServer) -> None:
    terminal = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", server.url)
    try:
        terminal.wait(lambda: b"online" in terminal.output, "the client is connected")
        for number in range(300):  # far more than a pseudo-terminal and the driver hold
            server.say("bob", f"line {number} " + "all work and no play " * 20)
        time.sleep(2)
        hellos = sum(command.type == "hello" for command in server.commands)
        server.say("bob", "the last line")
        terminal.wait(lambda: b"the last line" in terminal.output, "the screen is right after")
        assert hellos == sum(command.type == "hello" for command in server.commands) == 1
        assert os.path.exists(f"/proc/{terminal.process.pid}")
    finally:
        terminal.close()
