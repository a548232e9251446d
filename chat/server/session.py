"""One signed-in connection, from `hello` to close."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from chat.errors import CloseCode, CommandError, ErrorCode, FrameError
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

Handler = Callable[["Session", Any, Reply], None]
"""Answers a command through the reply, at once or later, or raises a `CommandError` at once."""
Table = Mapping[str, Handler]
"""Which handler answers which command, by the command's type."""

UNDER_WAY_MAX = 64
"""Commands of one session that may await their answers before reading from it is paused."""
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
        services: ServerContext,
        session_id: str,
        table: Table,
    ) -> None:
        self.connection = connection
        self._table = table
        self.services = services
        self.id = session_id
        self._subscriptions: Subscriptions | None = None
        self.builtins: dict[str, Counter | None] = {}
        """Membership of `#counter` and `#echo` is the session's own."""
        self.is_closed = False
        self.is_signing_in = False
        self.is_stopping = False
        self._waiting: deque[Command] = deque()
        self._is_held = False
        connection.limit_messages(max(services.limits.frame, HELLO_BYTES))
        self._hello_timer: asyncio.TimerHandle | None = None
        self.await_hello()

    @property
    def is_signed_in(self) -> bool:
        """Whether a `hello` was answered with `welcome`."""
        return self._subscriptions is not None

    @property
    def subscriptions(self) -> Subscriptions:
        """The channels of the session; only if it is signed in."""
        assert self._subscriptions is not None
        return self._subscriptions

    @property
    def user(self) -> User:
        """The person; only if the session is signed in."""
        return self.subscriptions.user

    # In

    def text_received(self, text: str) -> None:
        """Take one frame: decode it, and handle it."""
        if self.is_stopping:  # not stored, not answered: the client sends it again elsewhere
            return
        try:
            command = decode_command(text, self.services.limits)
        except FrameError as error:
            if len(text) > self.services.limits.frame:
                self._end_too_big()
            else:
                self.send(error_frame(error, error.id))
            return
        # Length first: for pydantic's models, `isinstance` of another class takes 0.5 µs.
        if len(text) > self.services.limits.frame and not isinstance(command, Hello):
            self._end_too_big()
            return
        outlet = self.connection.outlet
        outlet.answers_due += 1
        if outlet.answers_due >= UNDER_WAY_MAX and not self._is_held:
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
        if connection.budget.is_overrun(len(data), self.services.loop.time()):
            connection.end_flood()
            return
        command_id: str | None = None
        if is_text:
            try:
                command_id = decode_command(data, self.services.limits).id
            except FrameError as error:
                command_id = error.id
        refusal = CommandError(
            ErrorCode.RATE_LIMITED, "too many commands; wait a moment", retry_after=wait
        )
        self.send(error_frame(refusal, command_id))

    def _handle(self, command: Command) -> None:
        reply = Reply(self, command.id)
        try:
            if self._subscriptions is None and not isinstance(command, Hello):
                raise CommandError(ErrorCode.NOT_SIGNED_IN, "say hello first")
            self._table[command.type](self, command, reply)
        except CommandError as error:
            reply.error(error)
        except Exception:  # the connection's affair; here only the count of commands must be right
            if not reply.is_given:
                self.answered()
            raise

    # Out

    def send(self, frame: ServerFrame) -> None:
        """Send one frame to this session alone; after its end, nothing happens."""
        if not self.is_closed:
            self.connection.outlet.send(text_frame(encode(frame)))

    def answered(self) -> None:
        """Note that a command has its answer, and read on if that was what was waited for."""
        self.connection.outlet.answers_due -= 1
        if self._is_held and self.connection.outlet.answers_due <= UNDER_WAY_MAX // 4:
            self._is_held = False
            self.connection.release()

    def stop_taking_commands(self) -> None:
        """Handle no more commands: the server is stopping."""
        self.is_stopping = True

    def heartbeat(self) -> None:
        """Tell the heads of one's channels: that reveals a lost last event."""
        if self._subscriptions is not None:
            channels = self._subscriptions.channels.values()
            self.send(Heads(heads={each.name: each.head for each in channels}))

    # Life

    def await_hello(self) -> None:
        """End the connection unless a `hello` comes in time."""
        services = self.services
        self._hello_timer = services.loop.call_later(
            services.settings.hello_timeout, self._hello_is_late
        )

    def hello_has_come(self) -> None:
        """Wait for `hello` no more: how long it takes to answer it is not the peer's fault."""
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None

    def signed_in(self, user: User) -> None:
        """Become `user`'s session."""
        services, connection = self.services, self.connection
        connection.limit_messages(services.limits.frame)
        connection.budget = services.budgets.of_person(
            user.name, connection.source, services.loop.time()
        )
        self._subscriptions = Subscriptions(self, user, services)
        services.hub.signed_in(self._subscriptions)

    def hello_is_answered(self) -> None:
        """Handle what came while `hello` was on its way."""
        self.is_signing_in = False
        while self._waiting and not self.is_closed and not self.is_signing_in:
            self._handle(self._waiting.popleft())

    def closed(self) -> None:
        """Let go of everything (the connection is over)."""
        self.is_closed = True
        self.hello_has_come()
        self.services.forget_reads(self.id)
        self.services.gate.leave(self, self.services.loop.time())
        self._waiting.clear()
        for counter in self.builtins.values():
            if counter is not None:
                counter.stop()
        self.builtins.clear()
        if self._subscriptions is not None:
            self._subscriptions.end()

    def _hello_is_late(self) -> None:
        self.connection.end(CloseCode.HELLO_TIMEOUT, "no hello came in time")
