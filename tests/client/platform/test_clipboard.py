"""What is copied reaches the clipboard of the system, by whichever program is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.platform import desktop


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
def test_what_is_there_is_tried_in_order_and_tmux_at_the_end(
    variables: dict[str, str], there: str, expected: list[str]
) -> None:
    names = there.split()
    found = desktop.programs(variables, lambda name: name if name in names else None)
    assert [program.words[0] for program in found] == expected


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return what lets there be a program, and no others."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":7")
    for name in ("WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "TMUX"):
        monkeypatch.delenv(name, raising=False)

    def put(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o700)

    return put


@pytest.mark.feature("writing.copy")
def test_the_program_is_given_the_whole_text(
    put: Callable[[str, str], None], tmp_path: Path
) -> None:
    put("xclip", f'/bin/cat > "{tmp_path}/kept"')
    text = "日本語\n" * 50_000
    assert desktop.keep(text)
    assert (tmp_path / "kept").read_text("utf-8") == text


def test_where_one_fails_the_next_one_is_tried_and_no_further_one(
    put: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-7")
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    put("wl-copy", "echo 'Failed to connect to a Wayland server' >&2; exit 1")
    for name in ("xclip", "xsel", "tmux"):
        put(name, f'/bin/cat > "{tmp_path}/kept-by-{name}"')
    assert desktop.keep("tea")
    kept = {file.name: file.read_text() for file in tmp_path.glob("kept-by-*")}
    assert kept == {"kept-by-xclip": "tea", "kept-by-tmux": "tea"}


def test_a_program_that_fails_is_no_accident(put: Callable[[str, str], None]) -> None:
    put("xclip", "exit 1")
    assert not desktop.keep("x" * 200_000)
