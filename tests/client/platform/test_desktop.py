"""Notifications and the clipboard: terminal sequences, and the programs of the system."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.model.notifications import Notification, Way
from chat.client.platform import desktop
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
def test_notification_sequences_for_each_terminal(
    way: Way, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    assert notification_sequence(way, CALL) == expected


def test_tmux_passes_the_sequence_on_and_marks_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/socket,1,0")
    assert (
        notification_sequence("osc9", Notification("a", "b"))
        == "\x1bPtmux;\x1b\x1b]9;a: b\x07\x1b\\\x07"
    )
    assert notification_sequence("bell", Notification("a", "b")) == "\x07"


async def test_the_program_gets_the_text_without_a_shell(tmp_path: Path) -> None:
    received = tmp_path / "received"
    script = (
        f'cat > {received}; printf "%s|%s|%s" "$NOTIFY_TITLE" "$NOTIFY_TEXT" "$#" >> {received}'
    )
    await run_command(("sh", "-c", script), Notification("$(touch oops)", "`id`; rm -rf x"))
    assert received.read_text() == "$(touch oops)\n`id`; rm -rf x\n$(touch oops)|`id`; rm -rf x|0"
    assert not Path("oops").exists()


async def test_a_missing_or_hanging_program_is_reported(
    tmp_path: Path,
) -> None:
    assert "No such file or directory" in await run_command((str(tmp_path / "none"),), CALL)
    async with asyncio.timeout(PATIENCE):
        assert "was stopped" in await run_command(("sleep", "60"), CALL, time_limit=0.2)


@pytest.mark.parametrize(
    ("variables", "there", "expected"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "wl-copy xclip", ["wl-copy", "xclip"]),
        ({"DISPLAY": ":0"}, "wl-copy xclip xsel", ["xclip", "xsel"]),
        ({"DISPLAY": ":0"}, "xsel", ["xsel"]),
        ({}, "wl-copy xclip xsel", []),  # far from any desktop
        ({}, "pbcopy", ["pbcopy"]),
        ({"WSL_DISTRO_NAME": "Debian"}, "clip.exe", ["clip.exe"]),
        ({"TMUX": "/tmp/x,1,0"}, "tmux", ["tmux"]),
        ({"TMUX": "/tmp/x,1,0", "DISPLAY": ":0"}, "tmux xclip", ["xclip", "tmux"]),
        ({}, "tmux", []),
    ],
)
def test_installed_clipboard_programs_are_tried_in_order_with_tmux_last(
    variables: dict[str, str], there: str, expected: list[str]
) -> None:
    names = there.split()
    found = desktop.programs(variables, lambda name: name if name in names else None)
    assert [program.words[0] for program in found] == expected


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a `find` function that finds only these programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":7")
    for name in ("WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "TMUX"):
        monkeypatch.delenv(name, raising=False)

    def put(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o700)

    return put


@pytest.mark.feature("writing.copy")
def test_the_clipboard_program_gets_the_whole_text(
    put: Callable[[str, str], None], tmp_path: Path
) -> None:
    put("xclip", f'/bin/cat > "{tmp_path}/kept"')
    text = "日本語\n" * 50_000
    assert desktop.copy_to_clipboard(text)
    assert (tmp_path / "kept").read_text("utf-8") == text


def test_the_next_clipboard_program_is_tried_after_a_failure(
    put: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-7")
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    put("wl-copy", "echo 'Failed to connect to a Wayland server' >&2; exit 1")
    for name in ("xclip", "xsel", "tmux"):
        put(name, f'/bin/cat > "{tmp_path}/kept-by-{name}"')
    assert desktop.copy_to_clipboard("tea")
    kept = {file.name: file.read_text() for file in tmp_path.glob("kept-by-*")}
    assert kept == {"kept-by-xclip": "tea", "kept-by-tmux": "tea"}


def test_a_failing_clipboard_program_raises_nothing(put: Callable[[str, str], None]) -> None:
    put("xclip", "exit 1")
    assert not desktop.copy_to_clipboard("x" * 200_000)
