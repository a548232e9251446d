"""One signed-in connection, from `hello` to close."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from chat.errors import CloseCode, CommandError, ErrorCode, FrameError, StoreUnavailable
from chat.protocol.codec import decode_command, encode
from chat.protocol.commands import Command, Hello
from chat.protocol.frames import Heads, ServerFrame
from chat.server.channels.builtin import Counter
from chat.server.context import ServerContext
from chat.server.reply import Reply, error_frame
from chat.server.subscriptions import Subscriptions
from chat.server.transport.connection import Connection
from chat.server.transport.outbound import text_frame
from chat.store.operations import User

__all__ = ["Handler", "Session", "Table"]

log = logging.getLogger(__name__)

Handler = Callable[["Session", Any, Reply], Coroutine[Any, Any, None] | None]
"""Answers a command through the reply, or raises a `CommandError`.

A handler that reads is a coroutine function. One that writes hands an operation to the store and
returns: there is no task for each message.
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
        connection.limit_messages(max(context.settings.limits.frame, HELLO_BYTES))
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
        outlet.answers_due += 1
        if outlet.answers_due >= self._under_way_max and not self._is_held:
            self._is_held = True
            self.connection.hold()
        if self.is_signing_in:
            self._waiting.append(command)
        else:
            self._handle(command)

    def _end_too_big(self) -> None:
        """Close a connection that sent a longer frame than it may, though a `hello` might be."""
        self.connection.end(CloseCode.TOO_BIG, "the frame is too long")

    def binary_received(self, data: bytes) -> None:
        """Refuse bytes: the protocol is text."""
        error = CommandError(ErrorCode.MALFORMED, "a frame is one JSON object in a text frame")
        self.send(error_frame(error, None))

    def put_off(self, is_text: bool, data: bytes, wait: float) -> None:
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
            ErrorCode.RATE_LIMITED, "too many commands; wait a moment", retry_after=wait
        )
        self.send(error_frame(refusal, command_id))

    def _handle(self, command: Command) -> None:
        reply = Reply(self, command.id)
        try:
            if not self.is_signed_in and not isinstance(command, Hello):
                raise CommandError(ErrorCode.NOT_SIGNED_IN, "say hello first")
            work = self._table[command.type](self, command, reply)
            if work is not None:
                self.run(work, reply)
        except CommandError as error:
            reply.error(error)
        except Exception:  # the connection's affair; here only the count of commands must be right
            if not reply.is_given:
                self.answered()
            raise

    def run(self, work: Coroutine[Any, Any, None], reply: Reply | None = None) -> None:
        """Run `work` as a task that ends with the session.

        A refusal that it raises is the answer of its command.
        """
        task = self.context.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ran, reply))

    def _ran(self, reply: Reply | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, (CommandError, StoreUnavailable)) and reply and not reply.is_given:
            reply.error(error)
        else:  # an internal error costs one connection, not the server
            log.error("a command could not be handled; its connection is closed", exc_info=error)
            self.connection.end(CloseCode.INTERNAL, "the server made a mistake; it is in its log")

    # Out

    def send(self, frame: ServerFrame) -> None:
        """Send one frame to this session alone; after its end, nothing happens."""
        if not self.is_closed:
            self.connection.outlet.send(text_frame(encode(frame)))

    def answered(self) -> None:
        """Note that a command has its answer, and read on if that was what was waited for."""
        self.connection.outlet.answers_due -= 1
        if self._is_held and self.connection.outlet.answers_due <= self._under_way_max // 4:
            self._is_held = False
            self.connection.release()

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
        connection.limit_messages(self._limits.frame)
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
            self.connection.limit_messages(max(self._limits.frame, HELLO_BYTES))
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
        self.connection.end(CloseCode.HELLO_TIMEOUT, "no hello came in time")
