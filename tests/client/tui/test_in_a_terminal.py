"""The client in a real terminal: keys, pastes, and the terminal's state after the exit."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import PATIENCE, eventually, free_port
from tests.terminal.raw import RawTerminal
from tests.terminal.tmux import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Return a terminal with a client that has no server, but accepts text."""
    with Terminal(tmp_path) as terminal:
        terminal.run("chat-client", "--name", "me", "--url", f"ws://127.0.0.1:{free_port()}")
        terminal.wait_for("chat-server")
        yield terminal


def lines_of(terminal: Terminal) -> list[str]:
    """Return the lines in the composer."""
    rows = terminal.screen().splitlines()
    start = next(index for index, row in enumerate(rows) if "›" in row)
    column = rows[start].index("›") + 2
    return [row[column:].rstrip() for row in rows[start:-1]]  # the status bar is below


def wait_for_lines(terminal: Terminal, *lines: str) -> None:
    """Wait until the composer contains exactly these lines."""
    terminal.wait_for(lines[-1])
    eventually(lambda: lines_of(terminal) == list(lines), f"{lines} are written")


def test_alt_enter_and_ctrl_j_begin_a_line(terminal: Terminal) -> None:
    terminal.type("one")
    terminal.keys("M-Enter")
    terminal.type("two")
    terminal.keys("C-j")
    terminal.type("three")
    wait_for_lines(terminal, "one", "two", "three")


@pytest.mark.parametrize(
    "keys", [b"\x1b[13;2u", b"\x1b[27;2;13~"], ids=["kitty", "modifyOtherKeys"]
)
def test_shift_enter_begins_a_line_where_tmux_lets_it_through(tmp_path: Path, keys: bytes) -> None:
    with Terminal(tmp_path, extended_keys=True) as terminal:
        terminal.run("chat-client", "--name", "me", "--url", f"ws://127.0.0.1:{free_port()}")
        terminal.wait_for("chat-server")
        with terminal.attached() as press:
            press(b"one" + keys + b"two\x1b\rthree\nfour")
            wait_for_lines(terminal, "one", "two", "three", "four")


def test_a_paste_with_escapes_and_line_breaks_sends_nothing(terminal: Terminal) -> None:
    terminal.paste("first\n\x1b[31mred\x1b[0m\n/quit\n\x1b[201~\n/quit\n\x11last")
    wait_for_lines(terminal, "first", "[31mred[0m", "/quit", "", "/quit", "last")
    assert not terminal.has_ended


@pytest.mark.feature("writing.caret")
def test_the_terminals_cursor_is_at_the_caret(terminal: Terminal) -> None:
    terminal.type("日本語 abc")
    terminal.wait_for("日本語 abc")
    row = next(row for row in terminal.screen().splitlines() if "›" in row)
    column = row.index("›") + 2 + len("日本語 abc") + 3  # three of them have two cells
    eventually(lambda: terminal.cursor == (column, 22), f"{terminal.cursor}, not {(column, 22)}")
    terminal.keys("C-j")
    terminal.type("é")
    eventually(lambda: terminal.cursor == (row.index("›") + 3, 22), f"below: {terminal.cursor}")
    terminal.resize(90, 30)
    eventually(lambda: terminal.cursor[1] == 28, f"in a larger window: {terminal.cursor}")


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawTerminal]:
    url = f"ws://127.0.0.1:{free_port()}"
    terminal = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", url)
    try:
        terminal.wait(lambda: b"chat-server" in terminal.output, "the client shows its screen")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("keys", "what"),
    [(b"\x1b\r", "ESC CR"), (b"\x1b[27;2;13~", "modifyOtherKeys"), (b"\x1b[13;2u", "kitty")],
)
def test_every_sequence_for_enter_with_a_modifier_starts_a_new_line(
    raw: RawTerminal, keys: bytes, what: str
) -> None:
    # If "/nonsense" were sent, an error would appear; here the composer has two lines.
    raw.send(b"aaa" + keys + b"bbb")
    raw.wait(lambda: re.search(rb"bbb", raw.output), f"{what}: both lines stand there")
    raw.send(b"\x15\x7f\x15/quit\r")
    raw.wait(lambda: raw.process.poll() is not None, f"{what}: /quit stands alone and ends it")
    assert raw.process.returncode == 0


def test_bytes_that_are_not_utf8_do_no_harm(raw: RawTerminal) -> None:
    raw.send(b"caf\xe9 \xff\xfe still here")
    raw.wait(lambda: b"still here" in raw.output, "the text is shown")
    assert raw.process.poll() is None


def test_sigterm_leaves_the_terminal_as_it_was(raw: RawTerminal) -> None:
    raw.process.send_signal(signal.SIGTERM)
    raw.wait(lambda: raw.process.poll() is not None, "it ends")
    raw.wait(lambda: b"\x1b[?1049l" in raw.output, "the alternate screen is left")
    assert b"\x1b[22;2t" in raw.output  # the window's title was saved
    raw.wait(lambda: b"\x1b[23;2t" in raw.output, "the window's title is put back")


def test_quitting_before_the_first_paint_is_clean(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    terminal = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", url, typed=b"\x11")
    try:
        terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
        assert terminal.process.returncode == 0, terminal.output
    finally:
        terminal.close()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "closed", "another size, then SIGHUP"])
def test_signals_during_the_start_end_it_cleanly(tmp_path: Path, how: str) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    terminal = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", url)
    try:
        terminal.wait(lambda: b"\x1b[?1049h" in terminal.output, "the terminal is taken")
        if how == "closed":
            terminal.hang_up()
            terminal.process.wait(PATIENCE)
        else:
            if "size" in how:
                terminal.resize(40, 5)
            terminal.process.send_signal(signal.Signals[how.rpartition(" ")[2]])
            terminal.wait(lambda: terminal.process.poll() is not None, "it ends")
        assert terminal.process.returncode == 0, terminal.output
    finally:
        terminal.close()


def test_the_window_has_a_title(raw: RawTerminal) -> None:
    raw.wait(lambda: re.search(rb"\x1b\]2;[^\x07]*chat\x07", raw.output), "the title is set")
