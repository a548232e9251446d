"""Convert errors into `error` frames."""

from __future__ import annotations

import math

from chat.errors import CommandError, ErrorCode, StoreFault
from chat.protocol.frames import ErrorFrame
from chat.store.operations import Failure

__all__ = ["as_refusal", "error_frame"]

UNAVAILABLE = "the server cannot write to its disk; nothing was stored, try again later"


def error_frame(
    error: CommandError, command_id: str | None, channel: str | None = None
) -> ErrorFrame:
    """Return the `error` frame of a command, or of `channel` if no command caused the error."""
    retry_after = error.retry_after
    return ErrorFrame(
        id=command_id,
        code=error.code.value,
        message=error.message,
        retryable=error.code.retryable,
        # Rounded up, so that a client that waits exactly this long is not early.
        retry_after=None if retry_after is None else math.ceil(retry_after * 1_000) / 1_000,
        field=error.field,
        channel=channel,
    )


def as_refusal(failure: Failure) -> CommandError:
    """Return the error to send for a failure of the store."""
    if isinstance(failure, CommandError):
        return failure
    if isinstance(failure, StoreFault):
        return CommandError(ErrorCode.INTERNAL, str(failure))
    return CommandError(ErrorCode.UNAVAILABLE, UNAVAILABLE, retry_after=1.0)
