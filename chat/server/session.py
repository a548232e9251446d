"""One signed-in connection, from `hello` to close."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from types import CoroutineType
from typing import Any, cast

from chat.errors import CloseCode, CommandError, ErrorCode, FrameError
from chat.protocol.codec import decode_command, encode
from chat.protocol.commands import Command, Hello
from chat.protocol.frames import Heads, ServerFrame
from chat.server.channels.builtin import Counter
from chat.server.context import ServerContext
from chat.server.refusals import as_refusal, error_frame
from chat.server.subscriptions import Subscriptions
from chat.server.transport.connection import Connection
from chat.server.transport.outbound import text_frame
from chat.server.writes import Write
from chat.store.operations import Failure, User

__all__ = ["Handler", "Session", "Table"]

log = logging.getLogger(__name__)

Answer = ServerFrame | Write[Any] | Coroutine[Any, Any, ServerFrame | None] | None
Handler = Callable[["Session", Any], Answer]
"""Returns the answer of a command, with the command's id, or raises a `CommandError`.

A handler that reads is a coroutine function. One that writes returns a `Write`: there is no task
for each message. One whose answer must leave at a certain moment (within the delivery of an event)
gives it by `Session.answer`, and returns None.
"""
Table = Mapping[str, Handler]
"""Which handler answers which command, by the command's type."""

HELLO_BYTES = 393_216
"""Bytes that a `hello` may have where `limits.frame` is lower: older clients put 500 positions into
it, whatever their number of bytes, and others can name them in channels with long names."""


class Session:
    """The protocol's state on one connection.

    Commands are handled in the order in which they arrive; those that come while `hello` is on its
    way wait for it.
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
        self._under_way_max = context.tuning.under_way
        self.is_signed_in = False
        """Whether the person is known; `welcome` may be on its way still."""
        self.user: User
        """The person; set while the session is signed in."""
        self.subscriptions: Subscriptions
        """The channels of the session; set while it is signed in."""
        self.builtins: dict[str, Counter | None] = {}
        """Membership of `#counter` and `#echo` is the session's own."""
        self.is_closed = False
        self.is_signing_in = False
        self.is_stopping = False
        self._waiting: deque[Command] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_held = False
        connection.set_message_limit(max(context.settings.limits.frame, HELLO_BYTES))
        self._hello_timer: asyncio.TimerHandle | None = None
        self.await_hello()

    # In

    def text_received(self, text: str) -> None:
        """Take one frame: decode it, and handle it."""
        if self.is_stopping:  # not stored, not answered: the client sends it again elsewhere
            return
        try:
            command = decode_command(text, self._limits)
        except FrameError as error:
            if len(text) > self._limits.frame:
                self._end_too_big()
            else:
                self.send(error_frame(error, error.id))
            return
        # Length first: for pydantic's models, `isinstance` of another class takes 0.5 µs.
        if len(text) > self._limits.frame and not isinstance(command, Hello):
            self._end_too_big()
            return
        outlet = self.connection.outlet
        outlet.pending_answers += 1
        if outlet.pending_answers >= self._under_way_max and not self._is_held:
            self._is_held = True
            self.connection.pause_reading()
        if self.is_signing_in:
            self._waiting.append(command)
        else:
            self._handle(command)

    def _end_too_big(self) -> None:
        """Close a connection that sent a longer frame than it may, though a `hello` might be."""
        self.connection.end(CloseCode.TOO_BIG, "frame too long")

    def binary_received(self, data: bytes) -> None:
        """Refuse bytes: the protocol is text."""
        error = CommandError(
            ErrorCode.MALFORMED, "send each frame as one JSON object in a text frame"
        )
        self.send(error_frame(error, None))

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Refuse a frame of a peer that has sent too much, or end one that goes on."""
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
            self._give(command.id, self._table[command.type](self, command))
        except CommandError as error:
            self.refuse(command.id, error)

    def _give(self, command_id: str | None, answer: Answer) -> None:
        """Give what a handler returned as the answer, now or as soon as it is known."""
        if isinstance(answer, Write):
            write = answer

            def refused(failure: Failure) -> None:
                if write.refused is not None:
                    write.refused()
                self.refuse(command_id, failure)

            self.context.writes.submit(
                write.operation,
                lambda result: self._give(command_id, write.answer(result)),
                refused,
            )
        elif isinstance(answer, CoroutineType):
            reading: Coroutine[Any, Any, ServerFrame | None] = answer
            task = self.run(self._give_read(command_id, reading))
            task.add_done_callback(lambda _: reading.close())  # it may have been cancelled before
        elif answer is not None:
            self.answer(cast("ServerFrame", answer))

    async def _give_read(
        self, command_id: str | None, reading: Coroutine[Any, Any, ServerFrame | None]
    ) -> None:
        try:
            answer = await reading
        except CommandError as error:
            self.refuse(command_id, error)
        else:
            if answer is not None:
                self.answer(answer)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that ends with the session."""
        task = self.context.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # an internal error costs one connection, not the server
            log.error("cannot handle a command; closing its connection", exc_info=error)
            self.connection.end(CloseCode.INTERNAL, "internal server error; see the server's log")

    # Out

    def answer(self, frame: ServerFrame) -> None:
        """Answer a command, once; `frame` has its id."""
        self._answered()
        self.send(frame)

    def refuse(self, command_id: str | None, failure: Failure) -> None:
        """Answer that a command is refused."""
        self.answer(error_frame(as_refusal(failure), command_id))

    def send(self, frame: ServerFrame) -> None:
        """Send one frame to this session alone; after its end, nothing happens."""
        if not self.is_closed:
            self.connection.outlet.send(text_frame(encode(frame)))

    def _answered(self) -> None:
        """Note that a command has its answer, and read on if that was what was waited for."""
        self.connection.outlet.pending_answers -= 1
        if self._is_held and self.connection.outlet.pending_answers <= self._under_way_max // 4:
            self._is_held = False
            self.connection.resume_reading()

    def stop_taking_commands(self) -> None:
        """Handle no more commands: the server is stopping."""
        self.is_stopping = True

    def heartbeat(self) -> None:
        """Tell the heads of one's channels: that reveals a lost last event."""
        if self.is_signed_in and self.subscriptions.is_welcomed:
            channels = self.subscriptions.channels.values()
            self.send(Heads(heads={each.name: each.head for each in channels}))

    # Life

    def await_hello(self) -> None:
        """End the connection unless a `hello` comes in time."""
        context = self.context
        self._hello_timer = context.loop.call_later(
            context.settings.hello_timeout, self._hello_is_late
        )

    def begin_sign_in(self) -> None:
        """Keep commands until `hello_is_answered`: a `hello` has come.

        How long it takes to answer it is not the peer's fault.
        """
        self.is_signing_in = True
        self._stop_hello_timer()

    def signed_in(self, user: User) -> None:
        """Become `user`'s session; what happens to the person's channels is kept for `welcome`."""
        context, connection = self.context, self.connection
        connection.set_message_limit(self._limits.frame)
        connection.budget = context.budgets.of_person(
            user.name, connection.source, context.loop.time()
        )
        self.user = user
        self.subscriptions = Subscriptions(self, user, context)
        self.is_signed_in = True

    def sign_in_again(self) -> None:
        """Wait for another `hello`: this one is refused."""
        if self.is_signed_in:
            self.is_signed_in = False
            self.subscriptions.end()
            self.connection.set_message_limit(max(self._limits.frame, HELLO_BYTES))
        self.await_hello()
        self.hello_is_answered()

    def hello_is_answered(self) -> None:
        """Handle what came while `hello` was on its way."""
        self.is_signing_in = False
        while self._waiting and not self.is_closed and not self.is_signing_in:
            self._handle(self._waiting.popleft())

    def closed(self) -> None:
        """Let go of everything (the connection is over)."""
        self.is_closed = True
        self._stop_hello_timer()
        for task in self._tasks:
            task.cancel()
        self._waiting.clear()
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

    def _hello_is_late(self) -> None:
        self.connection.end(CloseCode.HELLO_TIMEOUT, "no hello in time")
