"""The protocol session of one connection, from `hello` to close."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from types import CoroutineType
from typing import Any, cast

from chat.errors import CloseCode, CommandError, ErrorCode, FrameError, StoreUnavailable
from chat.protocol.codec import decode_command, encode
from chat.protocol.commands import Command, Hello
from chat.protocol.frames import Heads, LimitsFrame, ServerFrame
from chat.server.channels.builtin import Counter
from chat.server.context import ServerContext
from chat.server.refusals import as_refusal, close_code, close_reason, error_frame
from chat.server.subscriptions import Subscriptions
from chat.server.transport.connection import Connection
from chat.server.transport.outbound import text_frame
from chat.server.writes import Answered, Write
from chat.store.operations import Failure, User

__all__ = ["Handler", "Session", "Table"]

log = logging.getLogger(__name__)

Handler = Callable[["Session", Any], Answered | Write[Any]]
"""Returns the answer of a command, with the command's id, or raises `CommandError`.

A handler that reads is a coroutine function. A handler that writes returns a `Write`, so that
messages need no task. A handler that must answer at a certain moment (within the delivery of an
event) calls `Session.answer`, and returns None.
"""
Table = Mapping[str, Handler]
"""The handler of each command, by the command's type."""

HELLO_BYTES = 393_216
"""Bytes of a `hello`, even if `limits.frame` is lower: older clients put 500 positions into it,
which can name channels with long names."""


class Session:
    """The protocol's state on one connection.

    Commands are handled in the order of arrival. Commands that arrive during the sign-in are queued
    until `hello` is answered.
    """

    def __init__(
        self,
        connection: Connection,
        context: ServerContext,
        session_id: str,
        table: Table,
    ) -> None:
        self.connection = connection
        self._table = table
        self.context = context
        self.id = session_id
        self._limits = context.settings.limits
        self._pending_max = context.tuning.pending_commands
        self.is_signed_in = False
        """Whether the user is known; `welcome` may not be sent yet."""
        self.user: User
        """Set while the session is signed in."""
        self.subscriptions: Subscriptions
        """The channels of the session; set while it is signed in."""
        self.builtins: dict[str, Counter | None] = {}
        """The built-in channels of the session, with their counters."""
        self.is_closed = False
        self.is_signing_in = False
        self.is_stopping = False
        self._queued: deque[Command] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_reading_paused = False
        connection.set_message_limit(max(context.settings.limits.frame, HELLO_BYTES))
        self._hello_timer: asyncio.TimerHandle | None = None
        self.await_hello()

    # In

    def text_received(self, text: str) -> None:
        """Decode and handle one frame."""
        if self.is_stopping:  # the client sends the unanswered command again after reconnecting
            return
        try:
            command = decode_command(text, self._limits)
        except FrameError as error:
            if len(text) > self._limits.frame:
                self._end_too_big()
            else:
                self.send(error_frame(error, error.id))
            return
        # The length is checked first: `isinstance` takes 0.5 µs for pydantic's models.
        if len(text) > self._limits.frame and not isinstance(command, Hello):
            self._end_too_big()
            return
        outlet = self.connection.outlet
        outlet.pending_answers += 1
        if outlet.pending_answers >= self._pending_max and not self._is_reading_paused:
            self._is_reading_paused = True
            self.connection.pause_reading()
        if self.is_signing_in:
            self._queued.append(command)
        else:
            self._handle(command)

    def _end_too_big(self) -> None:
        """Close: the frame exceeds `limits.frame`, and is not a `hello`, which may be longer."""
        self.connection.end(CloseCode.TOO_BIG, "frame too long")

    def binary_received(self, data: bytes) -> None:
        """Refuse a binary message: the protocol uses text messages only."""
        error = CommandError(
            ErrorCode.MALFORMED, "send each frame as one JSON object in a text frame"
        )
        self.send(error_frame(error, None))

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Refuse the frame; close the connection if the peer ignores such refusals."""
        if self.is_stopping:
            return
        connection = self.connection
        if connection.budget.is_overrun(len(data), self.context.loop.time()):
            connection.end_flood()
            return
        command_id: str | None = None
        if is_text:
            try:
                command_id = decode_command(data, self._limits).id
            except FrameError as error:
                command_id = error.id
        refusal = CommandError(
            ErrorCode.RATE_LIMITED, "rate limit exceeded; wait and try again", retry_after=wait
        )
        self.send(error_frame(refusal, command_id))

    def _handle(self, command: Command) -> None:
        try:
            if not self.is_signed_in and not isinstance(command, Hello):
                raise CommandError(ErrorCode.NOT_SIGNED_IN, "not signed in; send hello first")
            answer = self._table[command.type](self, command)
            if isinstance(answer, Write):
                answer.submitter = self
                answer.command_id = command.id
                self.context.store.submit((answer,))
                return
        except (CommandError, StoreUnavailable) as error:
            self.refuse(command.id, error)
            return
        self._dispatch_answer(command.id, answer)

    def settle(self, write: Write[Any]) -> None:
        """Answer the command of a write: its outcome is known."""
        if write.failure is None:
            self._dispatch_answer(write.command_id, write.answer(write.result))
        else:
            if write.refused is not None:
                write.refused()
            self.refuse(write.command_id, write.failure)

    def _dispatch_answer(self, command_id: str | None, answer: Answered) -> None:
        """Send a handler's answer, or run its read."""
        if isinstance(answer, CoroutineType):
            reading: Coroutine[Any, Any, ServerFrame | None] = answer
            task = self.run(self._answer_read(command_id, reading))
            task.add_done_callback(lambda _: reading.close())  # if cancelled before its first step
        elif answer is not None:
            self.answer(cast("ServerFrame | bytes", answer))

    async def _answer_read(
        self, command_id: str | None, reading: Coroutine[Any, Any, ServerFrame | None]
    ) -> None:
        try:
            answer = await reading
        except (CommandError, StoreUnavailable) as error:
            self.refuse(command_id, error)
        else:
            if answer is not None:
                self.answer(answer)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that ends with the session."""
        task = self.context.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # an internal error costs one connection, not the server
            log.error("cannot handle a command; closing its connection", exc_info=error)
            self.connection.end(CloseCode.INTERNAL, "internal server error; see the server's log")

    # Out

    def answer(self, frame: ServerFrame | bytes) -> None:
        """Send the answer of a command: a frame with the command's id, or the encoded frame."""
        outlet = self.connection.outlet
        outlet.pending_answers -= 1
        if self._is_reading_paused and outlet.pending_answers <= self._pending_max // 4:
            self._is_reading_paused = False
            self.connection.resume_reading()
        if not self.is_closed:
            outlet.send(text_frame(frame if isinstance(frame, bytes) else encode(frame)))

    def refuse(self, command_id: str | None, failure: Failure) -> None:
        """Answer a command with an error."""
        self.answer(error_frame(as_refusal(failure), command_id))

    def send(self, frame: ServerFrame) -> None:
        """Send one frame to this session only; do nothing once it is closed."""
        if not self.is_closed:
            self.connection.outlet.send(text_frame(encode(frame)))

    def ignore_commands(self) -> None:
        """Ignore all further commands: the server is stopping."""
        self.is_stopping = True

    def end(self, error: CommandError) -> None:
        """Send the error that ends the session, and close with its code; see `close_code`."""
        code = close_code(error)
        assert code is not None, error.code
        self.send(error_frame(error, None))
        self.connection.end(code, close_reason(error.message))

    def limits_changed(self) -> None:
        """Use the limits of the current settings; tell a signed-in client."""
        self._limits = self.context.settings.limits
        if not self.is_signed_in:
            self.connection.start_budget()
            self.connection.set_message_limit(max(self._limits.frame, HELLO_BYTES))
            return
        self._use_limits_of_user()
        self.subscriptions.send(LimitsFrame(limits=self._limits))

    def _use_limits_of_user(self) -> None:
        context, connection = self.context, self.connection
        connection.set_message_limit(self._limits.frame)
        connection.budget = context.budgets.of_person(
            self.user.name, connection.source, context.loop.time()
        )

    def heartbeat(self) -> None:
        """Send the heads of the session's channels: they reveal a lost last event."""
        if self.is_signed_in and self.subscriptions.is_welcomed:
            channels = self.subscriptions.channels.values()
            self.send(Heads(heads={each.name: each.head for each in channels}))

    # Life

    def await_hello(self) -> None:
        """Close the connection unless a `hello` arrives within the timeout."""
        context = self.context
        self._hello_timer = context.loop.call_later(
            context.settings.hello_timeout, self._hello_timed_out
        )

    def begin_sign_in(self) -> None:
        """Queue commands until `finish_sign_in`, and stop the `hello` timeout."""
        self.is_signing_in = True
        self._stop_hello_timer()

    def signed_in(self, user: User) -> None:
        """Set the user; events of the user's channels are deferred until `welcome` is sent."""
        self.user = user
        self.connection.user = user.name
        self._use_limits_of_user()
        self.subscriptions = Subscriptions(self, user, self.context)
        self.is_signed_in = True

    def abort_sign_in(self) -> None:
        """Wait for another `hello`: the last one was refused."""
        if self.is_signed_in:
            self.is_signed_in = False
            self.subscriptions.end()
            self.connection.set_message_limit(max(self._limits.frame, HELLO_BYTES))
        self.await_hello()
        self.finish_sign_in()

    def finish_sign_in(self) -> None:
        """Handle the commands that were queued during the sign-in."""
        self.is_signing_in = False
        while self._queued and not self.is_closed and not self.is_signing_in:
            self._handle(self._queued.popleft())

    def closed(self) -> None:
        """Release all resources (the connection is over)."""
        self.is_closed = True
        self._stop_hello_timer()
        for task in self._tasks:
            task.cancel()
        self._queued.clear()
        for counter in self.builtins.values():
            if counter is not None:
                counter.stop()
        self.builtins.clear()
        if self.is_signed_in:
            self.subscriptions.end()

    def _stop_hello_timer(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None

    def _hello_timed_out(self) -> None:
        self.connection.end(CloseCode.HELLO_TIMEOUT, "no hello in time")
