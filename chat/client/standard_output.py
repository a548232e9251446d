"""Standard output and standard error, where a program without a screen speaks to a person."""

from __future__ import annotations

import sys
from contextlib import suppress
from io import TextIOWrapper

__all__ = ["accept_any_text", "tell"]


def tell(text: str) -> None:
    """Say a line to the person, on standard error: standard output is for what was asked for."""
    with suppress(OSError):  # the terminal is gone, and nobody is there to be told
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def accept_any_text() -> None:
    """Let standard output take every character; what its encoding lacks is written as its code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a test may have put something else in its place
        sys.stdout.reconfigure(errors="backslashreplace")
