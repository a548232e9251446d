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

__all__ = ["accept_any_text", "read_lines", "read_text", "report_unsent"]


def report_unsent(count: int, texts: Sequence[str]) -> None:
    """Report unsent messages when the client ends.

    Args:
        count: number of messages in the outbox on disk.
        texts: texts that could not be saved, printed so that the user can copy them.
    """
    if count:
        what, them = ("1 message has", "it") if count == 1 else (f"{count} messages have", "them")
        tell(f"{what} not been sent yet; the next chat-client sends {them}.")
    if texts:
        tell("Cannot write to the disk. This text was neither sent nor saved:")
        for text in texts:
            tell(printable(text))


def accept_any_text() -> None:
    """Let standard output escape characters that its encoding lacks instead of failing."""
    if isinstance(sys.stdout, TextIOWrapper):  # tests replace it
        sys.stdout.reconfigure(errors="backslashreplace")


_TEXT_MAX = 4_000_000
"""Bytes; longer than any server's message limit."""
_CHUNK = 65_536


def read_text(descriptor: int) -> str:
    """Read everything, without a byte order mark and the final line break.

    Raises:
        StartupError: the input cannot be read, is not text, or is too long for a message.
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
    return _decode(b"".join(chunks).removeprefix(BOM_UTF8)).replace("\r\n", "\n").removesuffix("\n")


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield lines as they arrive, without a byte order mark; empty lines are skipped.

    Raises:
        StartupError: the input cannot be read, or a line is not text.
    """
    is_first = True
    async for line in _raw_lines(descriptor):
        if text := _decode(line.removeprefix(BOM_UTF8) if is_first else line).removesuffix("\r"):
            yield text
        is_first = False


async def _raw_lines(descriptor: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | StartupError] = asyncio.Queue()
    room = threading.Semaphore(2)  # backpressure: unread input stays in the pipe

    def read() -> None:
        # A thread works for pipes, files and terminals alike. It reads the descriptor, because a
        # read of `sys.stdin` would hold its lock when the program ends.
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


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise StartupError("standard input is not UTF-8 text") from None
