"""Standard streams of both programs, which may be closed, full, or unread."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["abandon_output", "run_program", "tell"]

_FAULT, _BROKEN_PIPE = 1, 141


class _Output(io.FileIO):
    """Standard output that remembers why it failed, and takes everything from then on.

    Libraries swallow the error, and a buffer that cannot be written would fail once more at the
    very end.
    """

    failure: OSError | None = None
    is_abandoned = False

    def write(self, data: Any, /) -> int:
        if self.failure is not None or self.is_abandoned:
            return len(data)
        try:
            return super().write(data)
        except OSError as exc:
            self.failure = exc
            raise


def run_program(name: str, main: Callable[[], int]) -> int:
    """Run a program; return its exit code.

    Output that cannot be written is told in one line, with exit code 1, or 141 if its reader has
    gone.
    """
    _open_streams()
    output = _take_output()
    try:
        try:
            code = main()
        finally:
            with suppress(OSError):
                sys.stdout.flush()
    except (OSError, SystemExit):
        if output is None or output.failure is None:
            raise
        code = _FAULT
    if output is None or output.failure is None:
        return code
    if isinstance(output.failure, BrokenPipeError):
        return _BROKEN_PIPE
    tell(f"{name}: cannot write to standard output: {output.failure.strerror}")
    return _FAULT


def tell(text: str) -> None:
    """Say a line to the person, on standard error: standard output is for what was asked for."""
    with suppress(OSError):  # the terminal is gone, and nobody is there to be told
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def abandon_output() -> None:
    """Let standard output lead to nowhere; that it failed does not matter."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output):
        raw.failure, raw.is_abandoned = None, True


def _open_streams() -> None:
    """Let each closed stream be an open file again.

    Else the next file or socket would get its number: libuv aborts then, and what is said to a
    person goes into a database.
    """
    # Writing to the output must fail, as on any closed one; of the others nothing is expected.
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest free number, which is this one
    # Both stay open until the program ends, so there is no `with` to close them.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _take_output() -> _Output | None:
    """Put an `_Output` below standard output; None: somebody else has put something there."""
    before = sys.stdout
    if before is not sys.__stdout__:
        return None
    output = _Output(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=before.encoding if before else "utf-8",
        errors=before.errors if before else "backslashreplace",
        line_buffering=output.isatty(),
    )
    return output
