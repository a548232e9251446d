"""How a person is called: bytes for the terminal, or a program of their own. Nothing else.

The bytes are made here: what comes from others passed `chat.text` in `calls`, is short, and can
neither end the sequence it stands in nor begin another field of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress

from chat.client.calls import Call, Way
from chat.text import printable_line

__all__ = ["BELL", "run", "sequence"]

_log = logging.getLogger(__name__)

BELL = "\x07"
_PATIENCE = 10.0
"""Seconds that a program gets."""


def sequence(way: Way, call: Call) -> str:
    """Return what calls on the terminal; within tmux it is handed through to the terminal outside.

    tmux hands nothing on from a window that does not show, or where it was not allowed to: there
    the bell marks the window.

    A semicolon would separate fields: some terminals draw progress bars by such.
    """
    title, text = (printable_line(each).replace(";", ",") for each in (call.title, call.text))
    match way:
        case "bell":
            return BELL
        case "osc9":
            return _through(f"\x1b]9;{title}: {text}\x07")
        case "osc777":
            return _through(f"\x1b]777;notify;{title};{text}\x07")
        case _:
            return ""


async def run(command: Sequence[str], call: Call) -> str:
    """Call with a program: it gets `NOTIFY_TITLE` and `NOTIFY_TEXT`, and both on its input.

    No shell is between, and no text of others among its arguments.

    Returns:
        Why it could not be run, for a person; empty: it ran.
    """
    environment = {**os.environ, "NOTIFY_TITLE": call.title, "NOTIFY_TEXT": call.text}
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
        async with asyncio.timeout(_PATIENCE):
            with suppress(OSError):
                await process.communicate(f"{call.title}\n{call.text}\n".encode())
    except TimeoutError:
        return _failed(f"notify_command {command[0]} took over {_PATIENCE:g} s and was ended")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return ""


def _failed(why: str) -> str:
    why = printable_line(why)
    _log.error("%s", why)
    return why


def _through(osc: str) -> str:
    """Return `osc` so that tmux hands it on, if it is between; it must `allow-passthrough`."""
    if not os.environ.get("TMUX"):
        return osc
    doubled = osc.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\{BELL}"
