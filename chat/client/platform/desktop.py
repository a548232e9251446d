"""The desktop around the terminal: its clipboard, notifications, and browser.

A copy is also sent to the terminal with OSC 52, which also works remotely; many terminals ignore
it. tmux accepts `load-buffer` whatever its OSC 52 settings are.

Text from others is made printable and shortened before it is put into a sequence, so it can
neither end the sequence nor begin another field.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from chat.client.model.notifications import Notification, Way
from chat.text import printable_line

__all__ = [
    "BELL",
    "Program",
    "can_open",
    "clipboard_sequence",
    "copy_to_clipboard",
    "notification_sequence",
    "programs",
    "run_command",
]


_CLIPBOARD_TIMEOUT = 3.0


class Program(NamedTuple):
    """A program that copies its standard input to the clipboard; needs `variable` to be set."""

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
    """Return the clipboard programs of this system, in the order to try; tmux is last."""

    def is_there(program: Program) -> bool:
        wanted = not program.variable or bool(variables.get(program.variable))
        return wanted and find(program.words[0]) is not None

    system = (_WINDOWS,) if sys.platform == "win32" else _SYSTEM
    return list(filter(is_there, (*system, _TMUX)))


def clipboard_sequence(text: str) -> str:
    """Return the sequence that copies a text to the terminal's clipboard (OSC 52)."""
    return f"\x1b]52;c;{b64encode(text.encode(errors='replace')).decode()}\x07"


def copy_to_clipboard(text: str) -> bool:
    """Copy a text to the clipboard; return whether a program succeeded. Blocks for a moment.

    An installed program may fail, as `wl-copy` does without a compositor: then the next one is
    tried. tmux has a buffer of its own, which is always filled.
    """
    done = False
    for program in programs():
        if not done or program is _TMUX:
            done = _copy_with(program, text) or done
    return done


def _copy_with(program: Program, text: str) -> bool:
    try:
        # No shell: the command is a constant of the table above; the text goes to its stdin.
        code = subprocess.run(  # noqa: S603
            program.words,
            input=text.encode(program.encoding, "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_CLIPBOARD_TIMEOUT,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
    return code == 0


_log = logging.getLogger(__name__)

BELL = "\x07"
COMMAND_TIMEOUT = 10.0
"""Seconds after which `notify_command` is stopped."""


def notification_sequence(way: Way, notification: Notification) -> str:
    """Return the sequence that notifies on the terminal; inside tmux, it is passed through.

    tmux drops sequences from a hidden window, or if passthrough is not allowed; there the bell
    marks the window. Semicolons are replaced: terminals take them for field separators.
    """
    both = notification.title, notification.text
    title, text = (printable_line(each).replace(";", ",") for each in both)
    match way:
        case "bell":
            return BELL
        case "osc9":
            return _tmux_passthrough(f"\x1b]9;{title}: {text}\x07")
        case "osc777":
            return _tmux_passthrough(f"\x1b]777;notify;{title};{text}\x07")
        case _:
            return ""


async def run_command(
    command: Sequence[str], notification: Notification, time_limit: float = COMMAND_TIMEOUT
) -> str:
    """Run the notification program with `NOTIFY_TITLE` and `NOTIFY_TEXT`, both also on its input.

    No shell is used, and the arguments contain no text from others.

    Returns:
        An error for the user; empty if it ran.
    """
    title, text = notification.title, notification.text
    environment = {**os.environ, "NOTIFY_TITLE": title, "NOTIFY_TEXT": text}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        return _failed(f"cannot run notify_command {command[0]}: {reason}")
    try:
        async with asyncio.timeout(time_limit):
            with suppress(OSError):
                await process.communicate(f"{title}\n{text}\n".encode())
    except TimeoutError:
        return _failed(
            f"notify_command {command[0]} took longer than {time_limit:g} s and was stopped"
        )
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return ""


def _failed(why: str) -> str:
    why = printable_line(why)
    _log.error("%s", why)
    return why


def _tmux_passthrough(osc: str) -> str:
    """Wrap `osc` for tmux if tmux is running; tmux needs `allow-passthrough`."""
    if not os.environ.get("TMUX"):
        return osc
    doubled = osc.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\{BELL}"


def can_open() -> bool:
    """Whether there is a desktop with a browser; a text browser would take over this terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
