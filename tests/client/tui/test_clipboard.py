"""What is copied reaches the clipboard of the system, by whichever program is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat.client.tui import clipboard


@pytest.mark.parametrize(
    ("variables", "there", "expected"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "wl-copy xclip xsel", ["wl-copy"]),
        ({"DISPLAY": ":0"}, "wl-copy xclip xsel", ["xclip"]),
        ({"DISPLAY": ":0"}, "xsel", ["xsel"]),
        ({}, "wl-copy xclip xsel", []),  # far from any desktop
        ({}, "pbcopy", ["pbcopy"]),
        ({"WSL_DISTRO_NAME": "Debian"}, "clip.exe", ["clip.exe"]),
        ({"TMUX": "/tmp/x,1,0"}, "tmux", ["tmux"]),
        ({"TMUX": "/tmp/x,1,0", "DISPLAY": ":0"}, "tmux xclip", ["xclip", "tmux"]),
        ({}, "tmux", []),
    ],
)
def test_the_first_that_is_there_and_tmux(
    variables: dict[str, str], there: str, expected: list[str]
) -> None:
    names = there.split()
    found = clipboard.programs(variables, lambda name: name if name in names else None)
    assert [program.words[0] for program in found] == expected


@pytest.mark.feature("writing.copy")
def test_the_program_is_given_the_whole_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "xclip"
    program.write_text(f'#!/bin/sh\n/bin/cat > "{tmp_path}/kept"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":7")
    for name in ("WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    text = "日本語\n" * 50_000
    assert clipboard.keep(text)
    assert (tmp_path / "kept").read_text("utf-8") == text


def test_a_program_that_fails_is_no_accident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "xclip"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":7")
    for name in ("WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    assert not clipboard.keep("x" * 200_000)
