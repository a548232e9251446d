"""The reply to one command: owns the command's id, answers exactly once."""

from __future__ import annotations

import math
from typing import Any, Protocol

from chat.errors import CommandError, ErrorCode, StoreFault
from chat.protocol.frames import ErrorFrame, Ok, ServerFrame
from chat.store.operations import Failure

__all__ = ["Reply", "Requester", "as_refusal", "error_frame"]

UNAVAILABLE = "the server cannot write to its disk now; nothing was stored, try again"


class Requester(Protocol):
    """Who sent a command and awaits its answer."""

    def answered(self) -> None:
        """Note that one command has its answer."""

    def send(self, frame: ServerFrame) -> None:
        """Send a frame; do nothing if the connection is over."""


def error_frame(
    error: CommandError, command_id: str | None, channel: str | None = None
) -> ErrorFrame:
    """Return the frame that tells a client of `error`; of `channel`, if no command asked for it."""
    retry_after = error.retry_after
    return ErrorFrame(
        id=command_id,
        code=error.code.value,
        message=error.message,
        retryable=error.code.retryable,
        # Rounded up: a client that waits exactly so long must not be early.
        retry_after=None if retry_after is None else math.ceil(retry_after * 1_000) / 1_000,
        field=error.field,
        channel=channel,
    )


def as_refusal(failure: Failure) -> CommandError:
    """Return a failure of the store in the words of an `error` frame."""
    if isinstance(failure, CommandError):
        return failure
    if isinstance(failure, StoreFault):
        return CommandError(ErrorCode.INTERNAL, str(failure))
    return CommandError(ErrorCode.UNAVAILABLE, UNAVAILABLE, retry_after=1.0)


class Reply:
    """Answers one command of one session; the second answer is a mistake of the server's."""

    __slots__ = ("_asker", "id", "is_given")

    def __init__(self, asker: Requester, command_id: str | None) -> None:
        self._asker = asker
        self.id = command_id
        self.is_given = False

    def ok(self, **fields: Any) -> None:
        """Answer that the command is done."""
        self.frame(Ok.known(id=self.id, **fields))

    def error(self, failure: Failure) -> None:
        """Answer that the command is refused."""
        self.frame(error_frame(as_refusal(failure), self.id))

    def frame(self, frame: ServerFrame) -> None:
        """Answer with a typed result; the caller has put `id` into it."""
        assert not self.is_given, "a command is answered once"
        self.is_given = True
        self._asker.answered()
        self._asker.send(frame)
