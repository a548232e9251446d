"""What a program without a screen prints, and what one with screens prints when it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

from chat.program import tell
from chat.text import printable

__all__ = ["accept_any_text", "tell_unsent"]


def tell_unsent(count: int, texts: Sequence[str]) -> None:
    """Tell at the end what was not sent.

    Args:
        count: how many messages wait on disk.
        texts: those that no disk has taken: a person can copy them before they are gone.
    """
    if count:
        what = "1 message is" if count == 1 else f"{count} messages are"
        tell(f"{what} not sent yet; the next chat-client will.")
    if texts:
        tell("The disk takes no writes; this is neither sent nor saved:")
        for text in texts:
            tell(printable(text))


def accept_any_text() -> None:
    """Let standard output take every character; what its encoding lacks is written as its code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a test may have put something else in its place
        sys.stdout.reconfigure(errors="backslashreplace")
