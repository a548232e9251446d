"""Copy mode: plain text for the terminal's own selection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chat.client.model.state import Message, Moderation
from chat.client.tui.screens.copy_mode import CopyModeScreen, copy_lines
from tests.client.fake_server import FakeServer
from tests.client.tui.conftest import Desktop
from tests.terminal.raw import RawTerminal

LINK = "https://example.org/" + "a" * 150


def message(seq: int, text: str, **more: object) -> Message:
    return Message("#tea", seq, None, "bob", 0, text=text, **more)  # type: ignore[arg-type]


def texts(messages: list[Message], width: int = 80, height: int = 24) -> list[str]:
    return [
        line for line in copy_lines(messages, width, height) if not line.startswith(("0", "1", "2"))
    ]


def test_copy_mode_neither_changes_nor_wraps_text() -> None:
    found = texts([message(2, f"see {LINK}\n\n```py\n\tx = 1\n```"), message(1, "hi")])
    assert found == ["hi", f"see {LINK}", "", "```py", "        x = 1", "```"]


def test_copy_mode_shows_as_many_wrapped_lines_as_fit() -> None:
    messages = [message(3, LINK), message(2, "two"), message(1, "one")]
    assert texts(messages, 80, 5) == ["two", LINK]  # the link takes three rows, its header one
    assert texts(messages, 80, 6) == ["two", LINK]
    assert texts(messages, 80, 7)[-2:] == ["two", LINK]
    assert texts(messages, 200, 4) == ["two", LINK]


def test_copy_mode_shows_no_control_characters() -> None:
    hostile = message(4, "a\x1b]52;c;AAAA\x07b\x9b31m\u202ec", me=True)
    deleted = message(1, "gone", deleted=True)
    lines = "two\nlines\tand\rmore"
    named = [replace(each, author=lines) for each in (hostile, deleted)]
    told = [
        Message("#tea", 5, None, lines, 0, kind=kind, text=lines, moderation=done)
        for kind in ("topic", "role", "join", lines)
        for done in (None, Moderation("role", lines, user=lines))
    ]
    shown = "".join(copy_lines([hostile, deleted, *named, *told], 80, 99))
    assert shown.isprintable()
    assert "message deleted" in shown


@pytest.mark.parametrize("how", ["f4", "/bare"])
async def test_a_key_opens_copy_mode_and_any_key_closes_it(desktop: Desktop, how: str) -> None:
    if how == "f4":
        await desktop.press("f4")
    else:
        await desktop.type("/bare", "enter")
    await desktop.until(lambda: isinstance(desktop.app.screen, CopyModeScreen))
    await desktop.until(lambda: "mine" in desktop.screen())
    assert "Channels" not in desktop.screen()
    await desktop.press("x")
    await desktop.until(lambda: desktop.app.screen is desktop.main)
    assert desktop.composer.text == ""


@pytest.mark.feature("writing.bare")
def test_the_terminal_has_the_mouse_and_wraps_by_itself(tmp_path: Path) -> None:
    server = FakeServer().start()
    terminal = RawTerminal(tmp_path, "chat-client", "--name", "me", "--url", server.url)
    try:
        terminal.wait(lambda: b"online" in terminal.output, "the client has started")
        server.say("bob", f"look: {LINK}")
        terminal.wait(lambda: b"look:" in terminal.output, "the message shows")
        before = len(terminal.output)
        terminal.send(b"\x1bOS")
        wait_for_all(terminal, before, b"press any key to return", b"\x1b[?1003l", b"\x1b[?7h")
        wait_for_all(terminal, before, LINK.encode())  # not wrapped: the terminal wraps it
        server.say("bob", "meanwhile")
        before = len(terminal.output)
        terminal.send(b"q")
        wait_for_all(terminal, before, b"meanwhile", b"\x1b[?1003h", b"\x1b[?7l")
    finally:
        terminal.close()
        server.close()


def wait_for_all(terminal: RawTerminal, since: int, *parts: bytes) -> None:
    """Wait until all of these texts were written after the given position."""
    terminal.wait(
        lambda: all(part in terminal.output[since:] for part in parts), f"{parts!r} are written"
    )
