"""One signed-in connection: match answers to commands, pass everything else on.

Each command carries an id; its answer wakes who asked. Silence ends the session: three heartbeats
without a frame. A command without an answer fails alone; the caller knows whether it can go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from chat.client.network.backoff import Backoff
from chat.client.network.connection import Connection, ConnectionLost
from chat.client.network.errors import Offline, Unanswered
from chat.errors import CommandError, ErrorCode, FrameError
from chat.protocol.codec import decode_frame, encode
from chat.protocol.commands import AnsweredBy, BaseCommand, Hello
from chat.protocol.frames import Bye, ErrorFrame, ServerFrame, Welcome
from chat.protocol.values import Limits
from chat.text import printable_line

__all__ = ["PAUSE_MAX", "Session", "insist", "pause_after", "refusal_of"]

_log = logging.getLogger(__name__)

HELLO_TIMEOUT = 20.0
ANSWER_TIMEOUT = 30.0
SILENT_HEARTBEATS = 3
SILENCE_MAX = 900.0
PAUSE_MAX = 60.0
"""No server may hold up a message for longer, whatever it says."""

_Answer = TypeVar("_Answer")


class Session:
    """A connection from `hello` to its end.

    Args:
        connection: open, and the session's own from now on.
        patience: seconds to wait for an answer.
    """

    def __init__(
        self,
        connection: Connection,
        patience: float = ANSWER_TIMEOUT,
    ) -> None:
        self._connection = connection
        self._patience = patience
        self._answers: dict[str, tuple[type[Any], asyncio.Future[Any]]] = {}
        """By the id of a command: the class of its answer, and the future that waits for it."""
        self._ids = 0
        self._silence = HELLO_TIMEOUT
        self._heard = 0.0
        self.limits = Limits()
        self.is_over = False
        self.return_within: float | None = None
        """Seconds within which a server that stops wants its clients back."""
        self._has_gone_silent = False

    async def sign_in(self, hello: Hello) -> Welcome:
        """Say hello; return the answer.

        Raises:
            CommandError: the server does not let this name in.
            ConnectionLost: the connection ended before.
        """
        await self._connection.send_text(encode(hello.model_copy(update={"id": "hello"})))
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
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
        """Take frames until the connection ends.

        Args:
            take: gets every frame in order, before its answer wakes the command that asked for it,
                but no `error` that answers a command.

        Raises:
            ConnectionLost: always, sooner or later.
            ChatError: the server breaks the protocol.
        """
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                data = await self._connection.receive()
                self._heard = loop.time()
                frame = decode_frame(data)
                if frame is not None and not self.is_over:
                    self._receive(frame, take)
        except ConnectionLost:
            if self._has_gone_silent:
                raise ConnectionLost(None, "the server stopped responding") from None
            raise
        finally:
            watch.cancel()

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Send a command; return its answer.

        Raises:
            CommandError: it is refused.
            Offline: the connection ended before the answer came.
            Unanswered: no answer came in time; the session lasts, and a late answer is a frame
                like any other.
        """
        assert isinstance(command, BaseCommand)
        self._ids += 1
        key = str(self._ids)
        data = encode(command.model_copy(update={"id": key}))
        if len(data) > self.limits.frame:
            raise CommandError(
                ErrorCode.TOO_LONG,
                f"it has {len(data):,} bytes; the server accepts {self.limits.frame:,}",
            )
        if self.is_over:
            raise Offline("not connected")
        answer: asyncio.Future[_Answer | ErrorFrame] = asyncio.get_running_loop().create_future()
        self._answers[key] = command.answer, answer
        try:
            async with asyncio.timeout(self._patience):
                await self._connection.send_text(data)
                frame = await answer
        except ConnectionLost:
            raise Offline("the connection was lost") from None
        except TimeoutError:
            raise Unanswered(f"the server has not answered within {self._patience:g} s") from None
        finally:
            self._answers.pop(key, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # the end was told already, by what failed first
        if isinstance(frame, ErrorFrame):
            raise refusal_of(frame)
        return frame

    async def close(self) -> None:
        """End the session, and the connection."""
        self.stop()
        await self._connection.end()

    def stop(self) -> None:
        """Take no more frames; every future that waits for an answer fails with `Offline`."""
        self.is_over = True
        for _, answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Offline("the connection was lost"))

    def _receive(self, frame: ServerFrame, take: Callable[[ServerFrame], None]) -> None:
        if isinstance(frame, Bye):
            self.return_within = frame.reconnect
        key = getattr(frame, "id", None)
        kind, answer = self._answers.get(key or "", (None, None))
        if kind is not None and not isinstance(frame, (kind, ErrorFrame)):
            raise FrameError(ErrorCode.INVALID, f"{frame.type} came where {kind.__name__} was due")
        if isinstance(frame, ErrorFrame) and answer is None:
            _log.warning("an error that no command asked for: %s", printable_line(frame.code))
        if answer is None or not isinstance(frame, ErrorFrame):
            take(frame)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    async def _watch(self) -> None:
        """End the connection when nothing was heard for too long."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._heard + self._silence - loop.time()
            if left <= 0:
                break
            await asyncio.sleep(left)
        self._has_gone_silent = True
        await self._connection.end()


async def insist(session: Session, command: AnsweredBy[_Answer]) -> _Answer:
    """Ask; wait and send it again while the server says that it may succeed.

    Raises:
        CommandError: it is refused for good.
        Offline: the connection ended.
        Unanswered: no answer came in time.
    """
    backoff = Backoff(0.5)
    while True:
        try:
            return await session.ask(command)
        except CommandError as error:
            if not error.code.retryable:
                raise
            await asyncio.sleep(pause_after(error, backoff))


def pause_after(error: CommandError, backoff: Backoff) -> float:
    """Return the seconds to wait before a command that may succeed later is sent again."""
    return max(0.05, backoff.next(), min(error.retry_after or 0.0, PAUSE_MAX))


def refusal_of(frame: ErrorFrame) -> CommandError:
    """Return the error of a frame; a code from a newer server keeps its meaning for retries."""
    try:
        code = ErrorCode(frame.code)
    except ValueError:
        code = ErrorCode.UNAVAILABLE if frame.retryable else ErrorCode.INVALID
    return CommandError(code, frame.message, retry_after=frame.retry_after, field=frame.field)
