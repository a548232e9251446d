"""Stay connected: connect, sign in, run, wait, and retry until rejected permanently.

`backoff.py` chooses the delays; `errors.CloseCode` tells which close codes allow a reconnect.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from chat.client.model.state import Link
from chat.client.network.backoff import PAUSE_MAX, Backoff
from chat.client.network.connection import Connection, ConnectionLost, NoConnection, open_connection
from chat.client.network.errors import Unanswered
from chat.client.network.session import Session
from chat.client.storage.known_servers import urls_of
from chat.errors import ChatError, CloseCode, CommandError, ErrorCode, FrameError
from chat.protocol.commands import Hello
from chat.protocol.frames import ServerFrame, Welcome
from chat.text import printable_line

__all__ = ["Connector", "Follower", "Refused", "TryLater"]

_log = logging.getLogger(__name__)

STABLE_AFTER = 10.0
"""Seconds after which a connection counts as stable and resets the backoff."""


class Refused(ChatError):
    """The server must not be contacted again automatically; the message says what to do.

    After `retry_in` seconds it may be: a ban has an end. None: never.
    """

    def __init__(self, reason: str, retry_in: float | None = None) -> None:
        super().__init__(reason)
        self.retry_in = retry_in


class TryLater(ConnectionLost):
    """Signing in is not possible now; the connector retries."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, reason)


class Follower(Protocol):
    """Receives the connector's reports."""

    def hello_for(self, url: str, server_id: str, features: frozenset[str]) -> Hello:
        """Prepare for the server that answers at `url`, and return its hello.

        `features` are those that the server lists; see `chat.protocol.FEATURES`.

        Raises:
            Refused: nothing must be sent to the server.
            TryLater: retry later.
        """

    def signed_in(self, session: Session, welcome: Welcome) -> Callable[[ServerFrame], None]:
        """Handle `welcome`; return the function that takes all further frames."""

    async def disconnected(self) -> None:
        """Handle the end of the session."""

    def hello_refused(self, error: CommandError) -> str | None:
        """Return the message for a rejected hello, or None to retry with another token."""

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Handle a new state of the connection."""

    def warn(self, text: str) -> None:
        """Report a warning to the user."""


class Connector:
    """Keeps one follower connected.

    Args:
        urls: addresses of the server, separated by commas. The connector stays with the address
            that works. It goes on to the next one when an address cannot be reached or signs
            nobody in, when a connection breaks, and when the server says `bye`.
        follower: receives all reports.
        backoff: delays between attempts.
        connect: opens a connection.
    """

    def __init__(
        self,
        urls: str,
        follower: Follower,
        backoff: Backoff | None = None,
        connect: Callable[[str], Awaitable[Connection]] = open_connection,
    ) -> None:
        self._urls = deque(urls_of(urls))
        self._follower = follower
        self._backoff = backoff or Backoff()
        self._connect = connect
        self._retry = asyncio.Event()
        self._return_within: float | None = None
        self._return_after = 0.0
        self._has_failed = True
        """Whether the present address signed nobody in, or its connection broke."""
        self._session: Session | None = None
        self._error: ChatError | None = None
        self._closing: asyncio.Task[None] | None = None

    def retry_now(self) -> None:
        """Retry at once, even if the server has rejected the client."""
        self._retry.set()

    async def run(self) -> None:
        """Connect and stay connected, until cancelled."""
        detail = ""
        while True:
            self._follower.link_changed(Link.CONNECTING, detail)
            self._return_within = None
            self._return_after = 0.0
            self._has_failed = True  # unless it signs the client in
            self._retry.clear()
            try:
                detail = await self._once()
            except Refused as exc:
                detail = ""
                self._follower.link_changed(Link.REFUSED, str(exc), exc.retry_in)
                await self._pause(exc.retry_in)
                continue
            if self._has_failed or self._return_within is not None:
                self._urls.rotate(-1)
            await self._wait(detail)

    async def _wait(self, detail: str) -> None:
        if self._return_within is None:
            delay = self._return_after + self._backoff.next()
        elif len(self._urls) > 1:  # another server takes over at once
            delay = self._backoff.next()
        else:
            delay = self._backoff.within(self._return_within)
        self._follower.link_changed(Link.WAITING, detail, delay)
        await self._pause(delay)

    async def _pause(self, seconds: float | None) -> None:
        """Wait until the user asks for a retry, at most `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._retry.wait()
            self._backoff.reset()
        except TimeoutError:
            pass

    async def _once(self) -> str:
        """Run one connection; return why it ended.

        Raises:
            Refused: do not reconnect.
        """
        url = self._urls[0]
        try:
            connection = await self._connect(url)
        except NoConnection as exc:
            return str(exc)
        except Exception as exc:
            return self._internal_error(exc)
        self._session = session = Session(connection)
        self._error = None
        try:
            (server_id,) = connection.server_ids
            hello = self._follower.hello_for(url, server_id, connection.features)
            welcome = await session.sign_in(hello)
            self._has_failed = False
            return await self._stay(session, self._follower.signed_in(session, welcome))
        except ConnectionLost as exc:
            return self._end(exc, session)
        except FrameError as exc:
            return self._protocol_error(exc)
        except CommandError as exc:
            if exc.code.retryable:
                self._return_after = min(exc.retry_after or 0.0, PAUSE_MAX)
                return f"the server is busy: {printable_line(exc.message)}"
            return self._refused(exc)
        except Refused:
            raise
        except ChatError as exc:
            return self._protocol_error(exc)
        except Exception as exc:
            return self._internal_error(exc)
        finally:
            self._session = None
            self._return_within = session.return_within
            await session.close()
            await self._follower.disconnected()

    async def _stay(self, session: Session, take: Callable[[ServerFrame], None]) -> str:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await session.run(take)
        except ConnectionLost as exc:
            if self._error is not None:
                raise self._error from None
            return self._end(exc, session)
        finally:
            if loop.time() - began >= STABLE_AFTER:
                self._backoff.reset()
        raise AssertionError("a session ends with an error")

    def fail(self, exc: ChatError) -> None:
        """End the session with an error; no more frames are taken."""
        if self._session is not None and self._error is None:
            self._error = exc
            self._session.stop()
            self._closing = asyncio.get_running_loop().create_task(self._session.close())

    def _end(self, exc: ConnectionLost, session: Session) -> str:
        reason = printable_line(exc.reason)
        if not CloseCode.tells_to_return(exc.code):
            code = _CODES.get(exc.code or 0, ErrorCode.FORBIDDEN)
            told = session.last_error  # it has no limit of 123 bytes
            is_why = told is not None and told.code is code
            return self._refused(told if told and is_why else CommandError(code, reason))
        if exc.code is None:
            self._has_failed = True
            return reason or "the connection was lost"
        return f"the server ended the connection ({reason or exc.code})"

    def _refused(self, error: CommandError) -> str:
        reason = self._follower.hello_refused(error)
        if reason is not None:
            left = error.retry_after if error.code is ErrorCode.BANNED else None
            retry_in = None if left is None else left + self._backoff.next()
            raise Refused(reason, retry_in) from error
        self._has_failed = False  # another token for the same address
        return "the server rejected this token; trying another one"

    def _internal_error(self, exc: Exception) -> str:
        _log.error("internal error in the connection", exc_info=exc)
        self._follower.warn(f"internal error: {exc!r}; reconnecting")
        return "internal error"

    def _protocol_error(self, exc: ChatError) -> str:
        if isinstance(exc, Unanswered):
            return str(exc)
        _log.warning("the server violates the protocol: %s", printable_line(str(exc)))
        self._follower.warn(f"the server violates the protocol: {exc}")
        return "the server violates the protocol"


_CODES: dict[int, ErrorCode] = {
    CloseCode.UNSUPPORTED_VERSION: ErrorCode.UNSUPPORTED_VERSION,
    CloseCode.BAD_TOKEN: ErrorCode.BAD_TOKEN,
    CloseCode.BANNED: ErrorCode.BANNED,
    CloseCode.DISABLED: ErrorCode.DISABLED,
    CloseCode.REVOKED: ErrorCode.REVOKED,
}
