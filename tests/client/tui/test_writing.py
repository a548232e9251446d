"""Large pastes, refused texts, the external editor, the preview, corrections, recalled texts."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from textual import events

from chat.client.tui.composer import editor
from chat.client.tui.screens.confirm import Confirm
from chat.client.tui.widgets.preview import Preview
from chat.errors import ChatError
from tests.client.tui.conftest import Desktop
from tests.terminal.tmux import Terminal


@pytest.mark.parametrize("text", ["line\n" * 50, "x" * 5_000], ids=["50 lines", "5,000 letters"])
@pytest.mark.feature("writing.paste")
async def test_a_large_paste_asks_first_and_says_how_large(desktop: Desktop, text: str) -> None:
    desktop.composer.post_message(events.Paste(text))
    await desktop.until(lambda: isinstance(desktop.app.screen, Confirm))
    size = "50 lines (250 characters)" if "\n" in text else "5,000 characters"
    await desktop.until(lambda: f"Paste {size} into your message?" in desktop.screen())
    await desktop.answer("n")
    await desktop.until(lambda: "Nothing was inserted." in desktop.notices)
    assert desktop.composer.text == ""
    desktop.composer.post_message(events.Paste(text))
    await desktop.answer("y")
    await desktop.until(lambda: desktop.composer.text == text)
    assert not desktop.core.asked("send")


async def test_the_question_before_a_paste_shows_its_first_lines(desktop: Desktop) -> None:
    desktop.composer.post_message(events.Paste("".join(f"row {n}\n" for n in range(50))))
    await desktop.until(lambda: "row 4" in desktop.screen())
    rows = [row.strip() for row in desktop.screen().splitlines()]
    first = rows.index("row 0")
    assert rows[first : first + 6] == ["row 0", "row 1", "row 2", "row 3", "row 4", "…"]


@pytest.mark.parametrize("text", ["line\n" * 49, "x" * 4_999], ids=["49 lines", "4,999 letters"])
async def test_a_smaller_paste_asks_nothing(desktop: Desktop, text: str) -> None:
    desktop.composer.post_message(events.Paste(text))
    await desktop.until(lambda: desktop.composer.text == text)
    assert desktop.app.screen is desktop.main


async def test_a_refused_command_stays_selected_so_that_typing_replaces_it(
    desktop: Desktop,
) -> None:
    await desktop.type("/nope", "enter")
    await desktop.until(lambda: desktop.notices and desktop.composer.text == "/nope")
    assert desktop.composer.selected_text == "/nope"
    await desktop.press(*"hello")
    assert desktop.composer.text == "hello"
    await desktop.press("ctrl+z", "ctrl+z")
    assert desktop.composer.text == "/nope", "undo restores it"


async def test_a_refused_message_stays_selected(desktop: Desktop) -> None:
    long = "x" * 8_001
    desktop.composer.load(long)
    await desktop.press("enter")
    await desktop.until(lambda: desktop.notices and desktop.composer.text == long)
    assert desktop.composer.selected_text == long


async def test_a_draft_that_comes_back_after_an_edit_is_not_selected(desktop: Desktop) -> None:
    await desktop.type("half a thought")
    await desktop.type("", "ctrl+up", "e")
    await desktop.until(lambda: desktop.composer.text == "mine")
    await desktop.type("!", "enter")
    await desktop.until(lambda: desktop.composer.text == "half a thought")
    assert desktop.composer.selected_text == ""


async def test_an_edit_cleared_to_nothing_says_how_to_delete(desktop: Desktop) -> None:
    await desktop.press("ctrl+up", "e")
    await desktop.until(lambda: desktop.composer.text == "mine")
    await desktop.press(*["backspace"] * 4, "enter")
    await desktop.until(lambda: any("To delete it" in told for told in desktop.notices))
    assert not desktop.core.asked("edit")


async def test_an_emoji_is_found_by_its_name_between_colons(desktop: Desktop) -> None:
    await desktop.press("ctrl+up", "plus")
    await desktop.until(lambda: "React" in desktop.screen())
    await desktop.press("colon", "plus", "1", "colon", "enter")
    await desktop.until(lambda: desktop.core.asked("react"))
    assert desktop.core.asked("react")[0][2] == "👍"


@pytest.mark.feature("writing.history")
async def test_sent_texts_are_recalled(desktop: Desktop) -> None:
    await desktop.type("one", "enter")
    await desktop.type("two", "enter")
    await desktop.type("half")
    await desktop.press("alt+p", "alt+p")
    assert desktop.composer.text == "one"
    await desktop.press("alt+n", "alt+n")
    assert desktop.composer.text == "half"


@pytest.mark.feature("writing.last")
async def test_a_correction_changes_the_last_message_and_is_not_sent(desktop: Desktop) -> None:
    await desktop.type("s/mine/yours/", "enter")
    await desktop.until(lambda: desktop.core.asked("edit"))
    assert desktop.core.asked("edit") == [("#general", 6, "yours")]
    assert not desktop.core.asked("send")


async def test_a_correction_that_does_not_match_returns_to_the_composer(desktop: Desktop) -> None:
    await desktop.type("s/absent/x/", "enter")
    await desktop.until(lambda: desktop.notices)
    assert "last message does not contain" in desktop.notices[0]
    assert desktop.composer.text == "s/absent/x/"


@pytest.mark.feature("writing.preview")
async def test_the_preview_shows_the_formatted_text(desktop: Desktop) -> None:
    await desktop.press("alt+v")
    await desktop.type("some **bold** words")
    await desktop.until(lambda: "some bold words" in desktop.screen())
    await desktop.press("alt+v")
    await desktop.until(lambda: "some bold words" not in desktop.screen())
    assert not desktop.main.query_one(Preview).display


async def test_without_an_editor_the_text_stays_and_a_notice_appears(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "/nowhere/editor")
    await desktop.type("half a sentence", "alt+e")
    await desktop.until(lambda: desktop.notices)
    assert desktop.composer.text == "half a sentence"


def _editor(tmp_path: Path, body: str) -> Path:
    script = tmp_path / "editor"
    script.write_text(f"#!{sys.executable}\nimport os, sys\nfrom pathlib import Path\n{body}\n")
    script.chmod(0o700)
    return script


def test_the_editor_gets_a_private_file_and_its_text_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    body = (
        "file = Path(sys.argv[-1])\n"
        f"Path({str(seen)!r}).write_text(f'{{file.parent.stat().st_mode}} {{file}}')\n"
        "file.write_text(file.read_text() + ' and more\\n')"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{_editor(tmp_path, body)} --wait")
    assert editor.edit("some") == "some and more"
    mode, file = seen.read_text().split(" ")
    assert stat.S_IMODE(int(mode)) == 0o700
    assert not Path(file).exists(), "no file remains"


def test_an_editor_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", str(_editor(tmp_path, "sys.exit(3)")))
    with pytest.raises(ChatError, match="code 3"):
        editor.edit("some")


def test_text_saved_before_a_signal_ended_the_editor_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "Path(sys.argv[-1]).write_text('saved')\nos.kill(os.getpid(), 9)"
    monkeypatch.setenv("VISUAL", str(_editor(tmp_path, body)))
    assert editor.edit("some") == "saved"


def test_an_editor_that_removes_the_file_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", str(_editor(tmp_path, "Path(sys.argv[-1]).unlink()")))
    with pytest.raises(ChatError, match="No such file"):
        editor.edit("some")


def test_without_room_for_the_editors_file_the_text_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", str(_editor(tmp_path, "")))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(ChatError, match="Cannot edit in"):
        editor.edit("some")


def test_an_editor_variable_with_an_open_quote_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "vi 'open")
    with pytest.raises(ChatError, match=r"Cannot parse \$VISUAL"):
        editor.edit("some")


@pytest.mark.feature("writing.editor")
def test_the_editor_has_the_terminal_and_the_screens_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "import signal\n"
        "signal.signal(signal.SIGINT, lambda *_: print('what was that?'))\n"
        "file = Path(sys.argv[-1])\n"
        "print('the editor is here')\n"
        "line = input()\n"
        "file.write_text(file.read_text() + line)"
    )
    monkeypatch.setenv("VISUAL", str(_editor(tmp_path, body)))
    with Terminal(tmp_path) as terminal:
        terminal.run("chat-client", "--name", "alice", "--url", "ws://127.0.0.1:9")
        terminal.wait_for("no server at")
        terminal.type("dear ")
        terminal.wait_for("dear")
        terminal.keys("M-e")
        terminal.wait_for("the editor is here")
        terminal.keys("C-c")  # the signal reaches all processes of the terminal
        terminal.wait_for("what was that?")
        terminal.type("reader")
        terminal.keys("Enter")
        terminal.wait_for("dear reader")
        terminal.type("!")
        terminal.wait_for("dear reader!")
        assert not terminal.has_ended


def test_the_screens_come_back_after_an_editor_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", str(_editor(tmp_path, "sys.exit(3)")))
    with Terminal(tmp_path) as terminal:
        terminal.run("chat-client", "--name", "alice", "--url", "ws://127.0.0.1:9")
        terminal.wait_for("no server at")
        terminal.type("dear ")
        terminal.wait_for("dear")
        terminal.keys("M-e")
        terminal.wait_for("exited with code 3")
        terminal.type("reader")
        terminal.wait_for("dear reader")
