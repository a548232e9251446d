"""Exit codes of the client's commands; `scripting/cli.py` chooses among them.

Codes are fixed: add, never rename.
"""

from __future__ import annotations

from enum import IntEnum

from chat.errors import ChatError

__all__ = ["MEANINGS", "ExitCode", "NotConfirmed"]


class ExitCode(IntEnum):
    """What a command leaves to the shell."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    REFUSED = 3
    NOT_CONFIRMED = 4
    QUEUED = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS = {
    ExitCode.DONE: "done; from `send`: the server has every message on its disk",
    ExitCode.FAULT: "internal error, protocol violation by the server, or "
    "standard output that cannot be written",
    ExitCode.USAGE: "wrong flags, or it cannot start as asked",
    ExitCode.REFUSED: "refused for good: the name, the channel, or the text; from `tail` and "
    "`export` also: the log is another one than it was",
    ExitCode.NOT_CONFIRMED: "no server, or no answer, within `--timeout`; a message may have "
    "arrived all the same: the same `--cid` again stores it once",
    ExitCode.QUEUED: "as 4, with `--queue`: what was not confirmed is in the outbox, and the next "
    "`chat-client` of that name sends it",
    ExitCode.INTERRUPTED: "interrupted (Ctrl+C)",
    ExitCode.BROKEN_PIPE: "who read the output has gone, as `head` does",
}


class NotConfirmed(ChatError):
    """Nothing came of it within the time allowed; the message says what was in the way."""
