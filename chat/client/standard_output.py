"""Standard output, where a program without a screen prints what was asked for."""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["accept_any_text"]


def accept_any_text() -> None:
    """Let standard output take every character; what its encoding lacks is written as its code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a test may have put something else in its place
        sys.stdout.reconfigure(errors="backslashreplace")
