"""Convert errors into `error` frames."""

from __future__ import annotations

import math

from chat.errors import CloseCode, CommandError, ErrorCode, StoreFault
from chat.protocol.frames import ErrorFrame
from chat.store.operations import Failure

__all__ = ["as_refusal", "close_code", "close_reason", "error_frame"]

UNAVAILABLE = "the server cannot write to its database; try again later"
"""A commit that broke off may be stored: the client repeats the command with its `cid`."""


_ENDS = {
    ErrorCode.BAD_TOKEN: CloseCode.BAD_TOKEN,
    ErrorCode.BANNED: CloseCode.BANNED,
    ErrorCode.DISABLED: CloseCode.DISABLED,
    ErrorCode.REVOKED: CloseCode.REVOKED,
}
"""Errors that end a session, with the code of the close."""
CLOSE_REASON_BYTES = 123
"""Most bytes of a close reason (RFC 6455, 5.5)."""


def close_code(error: CommandError) -> CloseCode | None:
    """Return the close code of an error that ends a session; None: the session may continue."""
    return _ENDS.get(error.code)


def close_reason(message: str) -> str:
    """Return a message, cut to the size of a close reason."""
    return message.encode()[:CLOSE_REASON_BYTES].decode(errors="ignore")


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
