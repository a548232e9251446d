"""Standard streams of both programs: closed, full, and broken pipes."""

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
    """Standard output that records its first error and ignores later writes.

    Libraries swallow the error, and the buffer would fail again when the program exits.
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

    If standard output cannot be written, print one line and return 1; return 141 for a closed pipe.
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
    """Print a message to standard error; standard output is for results."""
    with suppress(OSError):  # the terminal is closed
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def abandon_output() -> None:
    """Ignore all further output and its error."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output):
        raw.failure, raw.is_abandoned = None, True


def _open_streams() -> None:
    """Open /dev/null for each closed stream.

    Otherwise the next file or socket would get its descriptor: libuv aborts, and messages could be
    written into a database.
    """
    # Writing to a closed standard output must fail, so it is opened for reading.
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest free descriptor, which is this one
    # Both stay open until the program ends, so they are not opened in a `with` block.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _take_output() -> _Output | None:
    """Replace the raw stream of standard output; return None if it was replaced already."""
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
