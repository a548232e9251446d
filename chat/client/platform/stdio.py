"""Standard streams: read lines or a text, write without tracebacks."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from io import TextIOWrapper

from chat.errors import StartupError
from chat.program import tell
from chat.text import printable

__all__ = ["accept_any_text", "lines_of", "tell_unsent", "text_of"]


def tell_unsent(count: int, texts: Sequence[str]) -> None:
    """Tell at the end what was not sent.

    Args:
        count: how many messages wait on disk.
        texts: those that no disk has taken: a person can copy them before they are gone.
    """
    if count:
        what, them = ("1 message is", "it") if count == 1 else (f"{count} messages are", "them")
        tell(f"{what} not sent yet; the next chat-client sends {them}.")
    if texts:
        tell("Cannot write to the disk. This text was neither sent nor saved:")
        for text in texts:
            tell(printable(text))


def accept_any_text() -> None:
    """Let standard output take every character; what its encoding lacks is written as its code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a test may have put something else in its place
        sys.stdout.reconfigure(errors="backslashreplace")


_TEXT_MAX = 4_000_000
"""Bytes; no server takes a message as long as that."""
_CHUNK = 65_536


def text_of(descriptor: int) -> str:
    """Return everything that can be read, without a byte order mark and the last line end.

    Raises:
        StartupError: it cannot be read, is no text, or no message could be that long.
    """
    chunks: list[bytes] = []
    size = 0
    while chunk := _read(descriptor):
        size += len(chunk)
        if size > _TEXT_MAX:
            raise StartupError(
                "the text is too long for one message; use --lines to send each line"
            )
        chunks.append(chunk)
    return (
        _decoded(b"".join(chunks).removeprefix(BOM_UTF8)).replace("\r\n", "\n").removesuffix("\n")
    )


async def lines_of(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines as they come, without a byte order mark; empty ones are left out.

    Raises:
        StartupError: the input cannot be read, or a line is no text.
    """
    is_first = True
    async for line in _raw_lines(descriptor):
        if text := _decoded(line.removeprefix(BOM_UTF8) if is_first else line).removesuffix("\r"):
            yield text
        is_first = False


async def _raw_lines(descriptor: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | StartupError] = asyncio.Queue()
    room = threading.Semaphore(2)  # what comes faster than it is sent waits in the pipe

    def read() -> None:
        # A thread: a pipe, a file and a terminal can be waited for in no other common way. It
        # reads the descriptor itself; a lock of `sys.stdin` would be held when the program ends.
        chunk: bytes | StartupError = b"-"
        while chunk and not isinstance(chunk, StartupError):
            room.acquire()
            try:
                chunk = _read(descriptor)
            except StartupError as exc:
                chunk = exc
            with suppress(RuntimeError):  # the program has ended
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

    threading.Thread(target=read, name="standard-input", daemon=True).start()
    rest = b""
    while chunk := await chunks.get():
        if isinstance(chunk, StartupError):
            raise chunk
        room.release()
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _TEXT_MAX:
            raise StartupError("a line is too long for a message")
        for line in whole:
            yield line
    yield rest


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError as exc:
        raise StartupError(f"cannot read standard input: {exc.strerror or exc}") from None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise StartupError("standard input is not UTF-8 text") from None
