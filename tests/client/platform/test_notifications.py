"""How a person is called: which bytes reach the terminal, and what a program of theirs gets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chat.client.model.notifications import Notification, Way
from chat.client.platform.desktop import notification_sequence, run_command
from tests.serving import PATIENCE

CALL = Notification("bob in #ops", "it burns; 4;1;50")


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("bell", "\x07"),
        ("osc9", "\x1b]9;bob in #ops: it burns, 4,1,50\x07"),
        ("osc777", "\x1b]777;notify;bob in #ops;it burns, 4,1,50\x07"),
        ("none", ""),
        ("command", ""),
    ],
)
def test_what_reaches_the_terminal(
    way: Way, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    assert notification_sequence(way, CALL) == expected


def test_tmux_hands_it_on_and_marks_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/socket,1,0")
    assert (
        notification_sequence("osc9", Notification("a", "b"))
        == "\x1bPtmux;\x1b\x1b]9;a: b\x07\x1b\\\x07"
    )
    assert notification_sequence("bell", Notification("a", "b")) == "\x07"


async def test_a_program_gets_the_words_and_no_shell_does(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'cat > {told}; printf "%s|%s|%s" "$NOTIFY_TITLE" "$NOTIFY_TEXT" "$#" >> {told}'
    await run_command(("sh", "-c", script), Notification("$(touch oops)", "`id`; rm -rf x"))
    assert told.read_text() == "$(touch oops)\n`id`; rm -rf x\n$(touch oops)|`id`; rm -rf x|0"
    assert not Path("oops").exists()


async def test_a_program_that_is_not_there_or_never_ends_harms_nobody(
    tmp_path: Path,
) -> None:
    assert "No such file or directory" in await run_command((str(tmp_path / "none"),), CALL)
    async with asyncio.timeout(PATIENCE):
        assert "was stopped" in await run_command(("sleep", "60"), CALL, patience=0.2)
