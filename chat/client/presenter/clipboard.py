"""The system's clipboard, by the programs that systems have for it: the first that does it.

A terminal that knows OSC 52 is told of a copy as well, near or far; many do not know it, or were
told not to listen. tmux listens to its own program whatever it was told about OSC 52.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Program", "keep", "programs", "sequence"]

_PATIENCE = 3.0


class Program(NamedTuple):
    """What takes a text on its standard input, where a variable says that it can."""

    words: tuple[str, ...]
    variable: str = ""
    encoding: str = "utf-8"


_SYSTEM = (
    Program(("pbcopy",)),
    Program(("wl-copy",), "WAYLAND_DISPLAY"),
    Program(("xclip", "-selection", "clipboard"), "DISPLAY"),
    Program(("xsel", "--clipboard", "--input"), "DISPLAY"),
    Program(("clip.exe",), "WSL_DISTRO_NAME", "utf-16-le"),
)
_WINDOWS = Program(("clip",), encoding="utf-16-le")
_TMUX = Program(("tmux", "load-buffer", "-w", "-"), "TMUX")


def programs(
    variables: Mapping[str, str] = os.environ,
    find: Callable[[str], str | None] = shutil.which,
) -> list[Program]:
    """Return what may keep a copy here, in the order in which it is to be tried; tmux is last."""

    def is_there(program: Program) -> bool:
        wanted = not program.variable or bool(variables.get(program.variable))
        return wanted and find(program.words[0]) is not None

    system = (_WINDOWS,) if sys.platform == "win32" else _SYSTEM
    return list(filter(is_there, (*system, _TMUX)))


def sequence(text: str) -> str:
    """Return what asks a terminal to keep a copy (OSC 52)."""
    return f"\x1b]52;c;{b64encode(text.encode(errors='replace')).decode()}\x07"


def keep(text: str) -> bool:
    """Put a text into the clipboard; it may take a moment. False: no program did.

    One that is there may fail, as `wl-copy` does where no compositor answers: then it is the next
    one's turn. What tmux keeps is its own, and is kept in any case.
    """
    done = False
    for program in programs():
        if not done or program is _TMUX:
            done = _gives(program, text) or done
    return done


def _gives(program: Program, text: str) -> bool:
    try:
        # No shell: the command is a constant of the table above; the text goes to its stdin.
        code = subprocess.run(  # noqa: S603
            program.words,
            input=text.encode(program.encoding, "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
    return code == 0
