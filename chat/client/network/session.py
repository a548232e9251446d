"""One signed-in connection: match answers to commands, pass all other frames on.

Each command has an id, which its answer repeats. Three heartbeat intervals without a frame end the
session. A command without an answer fails alone; the session goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from chat.client.model.records import OutboxRow
from chat.client.network.backoff import Backoff
from chat.client.network.connection import Connection, ConnectionLost
from chat.client.network.errors import Offline, Unanswered
from chat.errors import CommandError, ErrorCode, FrameError
from chat.protocol.codec import decode_frame, encode
from chat.protocol.commands import AnsweredBy, BaseCommand, Delete, Edit, Hello, Pin, React, Send
from chat.protocol.frames import Bye, ErrorFrame, LimitsFrame, Ok, ServerFrame, Welcome
from chat.protocol.values import Limits
from chat.text import printable_line

__all__ = ["Session", "ask_with_retries", "refusal_of"]

_log = logging.getLogger(__name__)

HELLO_TIMEOUT = 20.0
ANSWER_TIMEOUT = 30.0
SILENT_HEARTBEATS = 3
SILENCE_MAX = 900.0

_Answer = TypeVar("_Answer")
_Writing = Send | Edit | Delete | React | Pin
"""A command that appends to a log."""
_WRITING: TypeAdapter[_Writing] = TypeAdapter(Annotated[_Writing, Field(discriminator="type")])


class Session:
    """A connection from `hello` to its end.

    Args:
        connection: an open connection, owned by the session from now on.
        timeout: seconds to wait for an answer.
    """

    def __init__(
        self,
        connection: Connection,
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._answers: dict[str, tuple[type[Any], asyncio.Future[Any]]] = {}
        """By command id: the class of the answer, and the future that waits for it."""
        self._ids = 0
        self._silence = HELLO_TIMEOUT
        self._last_frame_at = 0.0
        self.limits = Limits()
        self.is_over = False
        self.return_within: float | None = None
        """The reconnect window, in seconds, that a stopping server asks for."""
        self.last_error: CommandError | None = None
        """The last error that answers no command; before a close, it says why."""
        self._timed_out = False

    async def sign_in(self, hello: Hello) -> Welcome:
        """Send `hello`; return `welcome`.

        Raises:
            CommandError: the server rejects the name.
            ConnectionLost: the connection ended.
        """
        data = encode(hello.model_copy(update={"id": "hello"}))
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                await self._connection.send_text(data)
                while True:
                    frame = decode_frame(await self._connection.receive())
                    if isinstance(frame, ErrorFrame):
                        raise refusal_of(frame)
                    if isinstance(frame, Welcome):
                        break
        except TimeoutError:
            raise ConnectionLost(None, "the server does not answer") from None
        self.limits = frame.limits
        self._silence = min(max(1.0, SILENT_HEARTBEATS * frame.heartbeat), SILENCE_MAX)
        return frame

    async def run(self, take: Callable[[ServerFrame], None]) -> None:
        """Receive frames until the connection ends.

        Args:
            take: gets every frame in order, before its answer wakes the command that asked for it;
                except `error` frames that answer a command.

        Raises:
            ConnectionLost: the connection ended.
            ChatError: the server violates the protocol.
        """
        loop = asyncio.get_running_loop()
        self._last_frame_at = loop.time()
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                data = await self._connection.receive()
                self._last_frame_at = loop.time()
                frame = decode_frame(data)
                if frame is not None and not self.is_over:
                    self._receive(frame, take)
        except ConnectionLost:
            if self._timed_out:
                raise ConnectionLost(None, "the server stopped responding") from None
            raise
        finally:
            watch.cancel()

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Send a command; return its answer.

        Raises:
            CommandError: it was rejected.
            Offline: the connection ended before the answer arrived.
            Unanswered: no answer arrived in time; a late answer is passed on like any other frame.
        """
        assert isinstance(command, BaseCommand)
        self._ids += 1
        key = str(self._ids)
        data = encode(command.model_copy(update={"id": key}))
        if len(data) > self.limits.frame:
            raise CommandError(
                ErrorCode.TOO_LONG,
                f"message too large: {len(data):,} bytes, limit {self.limits.frame:,}",
            )
        if self.is_over:
            raise Offline("not connected")
        answer: asyncio.Future[_Answer | ErrorFrame] = asyncio.get_running_loop().create_future()
        self._answers[key] = command.answer, answer
        try:
            async with asyncio.timeout(self._timeout):
                await self._connection.send_text(data)
                frame = await answer
        except ConnectionLost:
            raise Offline("the connection was lost") from None
        except TimeoutError:
            raise Unanswered(f"the server has not answered within {self._timeout:g} s") from None
        finally:
            self._answers.pop(key, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # marks it as retrieved: the first error was raised already
        if isinstance(frame, ErrorFrame):
            raise refusal_of(frame)
        return frame

    def command_of(self, row: OutboxRow) -> AnsweredBy[Ok]:
        """Return the command of an outbox row.

        Raises:
            ValueError: the server would reject it; the message says why.
        """
        try:
            return _WRITING.validate_python(row.fields, context=self.limits)
        except ValidationError as exc:
            fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
            field = fault["loc"][-1] if fault["loc"] else "it"
            raise ValueError(f"{field} {fault['msg'].removeprefix('Value error, ')}") from None

    async def close(self) -> None:
        """End the session, and close the connection."""
        self.stop()
        await self._connection.end()

    def stop(self) -> None:
        """Take no more frames; all commands that wait for an answer fail with `Offline`."""
        self.is_over = True
        for _, answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Offline("the connection was lost"))

    def _receive(self, frame: ServerFrame, take: Callable[[ServerFrame], None]) -> None:
        if isinstance(frame, Bye):
            self.return_within = frame.reconnect
        elif isinstance(frame, LimitsFrame):
            self.limits = frame.limits
        key = getattr(frame, "id", None)
        kind, answer = self._answers.get(key or "", (None, None))
        if kind is not None and not isinstance(frame, (kind, ErrorFrame)):
            raise FrameError(ErrorCode.INVALID, f"expected {kind.__name__}, got {frame.type}")
        if isinstance(frame, ErrorFrame) and answer is None:
            self.last_error = refusal_of(frame)
            _log.warning("an error without a command: %s", printable_line(frame.code))
        if answer is None or not isinstance(frame, ErrorFrame):
            take(frame)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    async def _watch(self) -> None:
        """Close the connection after too long a silence."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._last_frame_at + self._silence - loop.time()
            if left <= 0:
                break
            await asyncio.sleep(left)
        self._timed_out = True
        await self._connection.end()


async def ask_with_retries(
    ask: Callable[[AnsweredBy[_Answer]], Awaitable[_Answer]], command: AnsweredBy[_Answer]
) -> _Answer:
    """Send a command with `ask`; send it again after each retryable error.

    Raises:
        CommandError: it was rejected permanently.
        Offline: the connection ended.
        Unanswered: no answer arrived in time.
    """
    backoff = Backoff(0.5)
    while True:
        try:
            return await ask(command)
        except CommandError as error:
            if not error.code.retryable:
                raise
            await asyncio.sleep(backoff.after(error))


def refusal_of(frame: ErrorFrame) -> CommandError:
    """Return the exception for an error frame; an unknown code keeps its `retryable`."""
    try:
        code = ErrorCode(frame.code)
    except ValueError:
        code = ErrorCode.UNAVAILABLE if frame.retryable else ErrorCode.INVALID
    return CommandError(code, frame.message, retry_after=frame.retry_after, field=frame.field)
