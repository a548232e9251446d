"""Stay connected: connect, sign in, run, wait, and retry until refused.

`backoff.py` decides how long to wait, `errors.CloseCode` after which close codes to come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from chat.client.model.state import Link
from chat.client.network.backoff import Backoff
from chat.client.network.connection import Connection, ConnectionLost, NoConnection, open_connection
from chat.client.network.errors import Unanswered
from chat.client.network.session import PAUSE_MAX, Session
from chat.client.storage.known_servers import urls_of
from chat.errors import ChatError, CloseCode, CommandError, ErrorCode, FrameError
from chat.protocol.commands import Hello
from chat.protocol.frames import ServerFrame, Welcome
from chat.text import printable_line

__all__ = ["Connector", "Follower", "NotNow", "Refused"]

_log = logging.getLogger(__name__)

STABLE_AFTER = 10.0
"""Seconds after which a connection counts as good, and back-off starts over."""


class Refused(ChatError):
    """There is no sense in coming back by oneself; the message says what to do."""


class NotNow(ConnectionLost):
    """Signing in is not possible now; the connector tries again."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, reason)


class Follower(Protocol):
    """Takes what the connector reports."""

    def met(self, url: str, server_id: str) -> Hello:
        """Prepare for the server that answers at `url`, and return the hello for it.

        Raises:
            Refused: nothing must be sent to it.
            NotNow: it may be possible later.
        """

    def welcomed(self, session: Session, welcome: Welcome) -> Callable[[ServerFrame], None]:
        """The session is signed in; return what takes the frames that follow."""

    async def lost(self) -> None:
        """The session is over."""

    def refused(self, error: CommandError) -> str | None:
        """Return what to tell the person whose hello was refused; None: come back with another."""

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """The connection's state is another one."""

    def complain(self, text: str) -> None:
        """The server does something it must not."""


class Connector:
    """Keeps one follower connected.

    Args:
        urls: where the server is; after an address that cannot be reached comes the next one.
        follower: takes every report.
        backoff: how long to wait.
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
        self._now = asyncio.Event()
        self._return_within: float | None = None
        self._return_after = 0.0
        self._session: Session | None = None
        self._fault: ChatError | None = None
        self._closing: asyncio.Task[None] | None = None

    def retry_now(self) -> None:
        """Do not wait; try again even if the server said not to."""
        self._now.set()

    async def run(self) -> None:
        """Connect and stay connected, until cancelled."""
        detail = ""
        while True:
            self._follower.link_changed(Link.CONNECTING, detail)
            self._return_within = None
            self._return_after = 0.0
            self._now.clear()
            try:
                detail = await self._once()
            except Refused as exc:
                detail = ""
                self._follower.link_changed(Link.REFUSED, str(exc))
                await self._now.wait()
                self._backoff.reset()
                continue
            await self._wait(detail)

    async def _wait(self, detail: str) -> None:
        if self._return_within is None:
            delay = self._return_after + self._backoff.next()
        else:
            delay = self._backoff.within(self._return_within)
        self._follower.link_changed(Link.WAITING, detail, delay)
        try:
            async with asyncio.timeout(delay):
                await self._now.wait()
            self._backoff.reset()
        except TimeoutError:
            pass

    async def _once(self) -> str:
        """Be connected once; return why it ended.

        Raises:
            Refused: do not come back.
        """
        url = self._urls[0]
        try:
            connection = await self._connect(url)
        except NoConnection as exc:
            self._urls.rotate(-1)
            return str(exc)
        except Exception as exc:
            return self._own_fault(exc)
        self._session = session = Session(connection)
        self._fault = None
        try:
            (server_id,) = connection.server_ids
            welcome = await session.sign_in(self._follower.met(url, server_id))
            return await self._stay(session, self._follower.welcomed(session, welcome))
        except ConnectionLost as exc:
            return self._end(exc)
        except FrameError as exc:
            return self._broken(exc)
        except CommandError as exc:
            if exc.code.retryable:
                self._return_after = min(exc.retry_after or 0.0, PAUSE_MAX)
                return f"the server is busy: {printable_line(exc.message)}"
            return self._refused(exc)
        except Refused:
            raise
        except ChatError as exc:
            return self._broken(exc)
        except Exception as exc:
            return self._own_fault(exc)
        finally:
            self._session = None
            self._return_within = session.return_within
            await session.close()
            await self._follower.lost()

    async def _stay(self, session: Session, take: Callable[[ServerFrame], None]) -> str:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await session.run(take)
        except ConnectionLost as exc:
            if self._fault is not None:
                raise self._fault from None
            return self._end(exc)
        finally:
            if loop.time() - began >= STABLE_AFTER:
                self._backoff.reset()
        raise AssertionError("a session ends with an error")

    def fault(self, exc: ChatError) -> None:
        """End the session: following it has failed, and nothing more of it is taken."""
        if self._session is not None and self._fault is None:
            self._fault = exc
            self._session.stop()
            self._closing = asyncio.get_running_loop().create_task(self._session.close())

    def _end(self, exc: ConnectionLost) -> str:
        reason = printable_line(exc.reason)
        if not CloseCode.tells_to_return(exc.code):
            error = CommandError(_CODES.get(exc.code or 0, ErrorCode.FORBIDDEN), reason)
            return self._refused(error)
        if exc.code is None:
            return reason or "the connection was lost"
        return f"the server ended the connection ({reason or exc.code})"

    def _refused(self, error: CommandError) -> str:
        reason = self._follower.refused(error)
        if reason is not None:
            raise Refused(reason) from error
        return "the server did not accept this token; another one is tried"

    def _own_fault(self, exc: Exception) -> str:
        _log.error("following the server failed", exc_info=exc)
        self._follower.complain(f"internal error: {exc!r}; reconnecting")
        return "internal error"

    def _broken(self, exc: ChatError) -> str:
        if isinstance(exc, Unanswered):
            return str(exc)
        _log.warning("the server broke the protocol: %s", printable_line(str(exc)))
        self._follower.complain(f"the server violates the protocol: {exc}")
        return "the server violates the protocol"


_CODES: dict[int, ErrorCode] = {
    CloseCode.UNSUPPORTED_VERSION: ErrorCode.UNSUPPORTED_VERSION,
    CloseCode.BAD_TOKEN: ErrorCode.BAD_TOKEN,
}
