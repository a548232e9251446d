"""Exit codes of the client's commands; `scripting/cli.py` chooses among them.

The codes are stable: new ones may be added, existing ones keep their meaning.
"""

from __future__ import annotations

from enum import IntEnum

from chat.errors import ChatError

__all__ = ["MEANINGS", "ExitCode", "NotConfirmed"]


class ExitCode(IntEnum):
    """Exit code of a command."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    REFUSED = 3
    NOT_CONFIRMED = 4
    QUEUED = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS = {
    ExitCode.DONE: "done; from `send`: the server has stored every message",
    ExitCode.FAULT: "internal error, protocol violation by the server, or "
    "standard output that cannot be written",
    ExitCode.USAGE: "invalid flags or settings",
    ExitCode.REFUSED: (
        "rejected permanently: the name, the channel, or the text; from `tail` "
        "and `export` also: the log was replaced"
    ),
    ExitCode.NOT_CONFIRMED: (
        "no server, or no answer, within `--timeout`; a message may have "
        "been stored: retry with the same `--cid` to store it once"
    ),
    ExitCode.QUEUED: (
        "like 4, but `--queue` kept the message in the outbox; the "
        "next `chat-client` of that name sends it"
    ),
    ExitCode.INTERRUPTED: "interrupted (Ctrl+C)",
    ExitCode.BROKEN_PIPE: "the output pipe was closed, for example by `head`",
}


class NotConfirmed(ChatError):
    """The command timed out without a confirmation; the message says why."""
