"""Errors in the words of an `error` frame."""

from __future__ import annotations

import math

from chat.errors import CommandError, ErrorCode, StoreFault
from chat.protocol.frames import ErrorFrame
from chat.store.operations import Failure

__all__ = ["as_refusal", "error_frame"]

UNAVAILABLE = "the server cannot write to its disk now; nothing was stored, try again"


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
