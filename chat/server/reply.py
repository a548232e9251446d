"""The reply to one command: owns the command's id, answers exactly once."""

from __future__ import annotations

from typing import Any, Protocol

from chat.errors import CommandError
from chat.protocol.frames import ErrorFrame, Ok, ServerFrame

__all__ = ["Reply", "Requester", "error_frame"]


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
        retry_after=None if retry_after is None else round(retry_after, 3),
        field=error.field,
        channel=channel,
    )


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

    def error(self, error: CommandError) -> None:
        """Answer that the command is refused."""
        self.frame(error_frame(error, self.id))

    def frame(self, frame: ServerFrame) -> None:
        """Answer with a typed result; the caller has put `id` into it."""
        assert not self.is_given, "a command is answered once"
        self.is_given = True
        self._asker.answered()
        self._asker.send(frame)
