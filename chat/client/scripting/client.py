"""A signed-in client for scripts that sends one command after the other.

It reconnects with the same `Connector` as the screens, and repeats the command that got no answer:
all its commands may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from chat.client.config.settings import ClientSettings
from chat.client.exit_codes import NotConfirmed
from chat.client.model.state import Link
from chat.client.network.auth import Identity
from chat.client.network.connection import open_connection
from chat.client.network.connector import Connector, Refused, TryLater
from chat.client.network.errors import Offline, Unanswered
from chat.client.network.session import Session, ask_with_retries
from chat.errors import ChatError, CommandError, ErrorCode
from chat.protocol.commands import AnsweredBy, Channels, Hello, Join
from chat.protocol.frames import Joined, LimitsFrame, ServerFrame, Welcome
from chat.protocol.values import Limits
from chat.text import check_channel, direct_channel, fold, is_builtin, is_direct

__all__ = ["ScriptClient", "join_existing"]

_CLOSE_TIMEOUT = 3.0
_PAGES_MAX = 1_000
"""Maximum pages of the channel list to read, because a server may never end it."""
_Answer = TypeVar("_Answer")


class ScriptClient:
    """Sends commands through as many connections as needed; a `Follower` of its connector.

    Create it with `ScriptClient.open`.

    Args:
        settings: with a name.
        timeout: seconds without progress after which it gives up.
        take: gets every frame, in order; an exception it raises ends the client.
    """

    def __init__(
        self, settings: ClientSettings, timeout: float, take: Callable[[ServerFrame], None]
    ) -> None:
        self.user = settings.name
        self.limits = Limits()
        self.channels: set[str] = set()
        """The channels that the user is in, or invited to, at the start of the connection."""
        self._timeout = timeout
        self._limit: asyncio.Timeout | None = None
        self._take_frame = take
        self._identity = Identity(settings)
        self._session: Session | None = None
        self._refusal: ChatError | OSError | None = None
        self._changed = asyncio.Event()
        self._detail = ""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: ClientSettings,
        time_limit: float,
        take: Callable[[ServerFrame], None] = lambda _: None,
    ) -> AsyncIterator[ScriptClient]:
        """Connect, and yield the client.

        Raises:
            NotConfirmed: there was no progress within `time_limit` seconds.
        """
        client = cls(settings, time_limit, take)
        connect = partial(open_connection, ca=settings.ca)
        connector = Connector(settings.url, client, connect=connect)
        connecting = asyncio.create_task(connector.run())
        try:
            async with asyncio.timeout(time_limit) as client._limit:
                yield client
        except TimeoutError:
            why = client._detail or f"the server at {settings.url} does not answer"
            raise NotConfirmed(f"{why} (gave up after {time_limit:g} s)") from None
        finally:
            connecting.cancel()
            # Bounded: a slow close must not delay the exit code.
            await asyncio.wait([connecting], timeout=_CLOSE_TIMEOUT)

    def restart_timeout(self) -> None:
        """Restart the timeout after progress."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._timeout)

    def suspend_timeout(self) -> None:
        """Stop the timeout while nothing is expected from the server."""
        if self._limit is not None:
            self._limit.reschedule(None)

    def channel(self, word: str) -> str:
        """Return the channel for `word`: `general` is #general, `@bob` the direct channel with bob.

        Raises:
            ValueError: `word` is not a channel.
        """
        if word.startswith("@"):
            return check_channel(direct_channel([self.user, *word[1:].split(",")]))
        return check_channel(word if word.startswith("#") else f"#{word}")

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Send a command until it is answered.

        Raises:
            CommandError: it was rejected.
            Refused: the server rejects the name.
        """
        while True:
            session = await self.session()
            try:
                answer = await ask_with_retries(session.ask, command)
            except Offline:
                if self._session is session:  # closed, but not yet reported
                    self._session = None
                continue
            except Unanswered as exc:
                self._detail = str(exc)
                continue
            self.restart_timeout()
            return answer

    async def session(self) -> Session:
        """Wait for a session, and return it.

        Raises:
            Refused: the server rejects the name.
        """
        while self._refusal is None and (self._session is None or self._session.is_over):
            self._changed.clear()
            await self._changed.wait()
        if self._refusal is not None:
            raise self._refusal
        assert self._session is not None
        return self._session

    async def changed(self, session: Session) -> bool:
        """Wait for `wake` or the end of `session`; return whether the session is still open.

        Raises:
            ChatError: the client has failed.
        """
        if self._session is session and self._refusal is None:
            await self._changed.wait()
            self._changed.clear()
        if self._refusal is not None:
            raise self._refusal
        return self._session is session

    def wake(self) -> None:
        """End the wait in `changed`."""
        self._changed.set()

    # Reports of the connector

    def hello_for(self, url: str, server_id: str, features: frozenset[str]) -> Hello:
        """Return the hello with the token for this server."""
        try:
            return self._identity.hello_for(url, server_id, features)
        except TryLater as exc:  # no user is present to free disk space
            raise Refused(str(exc)) from exc

    def signed_in(self, session: Session, welcome: Welcome) -> Callable[[ServerFrame], None]:
        """Store the session."""
        self._identity.signed_in()
        self.user, self.limits = welcome.user, welcome.limits
        self.channels = {membership.channel for membership in welcome.channels}
        self.channels |= {invitation.channel for invitation in welcome.invited}
        self._session, self._detail = session, ""
        self._changed.set()
        return self._take

    def _take(self, frame: ServerFrame) -> None:
        if isinstance(frame, LimitsFrame):
            self.limits = frame.limits
        try:
            self._take_frame(frame)
        except (ChatError, OSError) as exc:  # from the log, or from the output
            self._fail(exc)

    async def disconnected(self) -> None:
        """Drop the session."""
        self._session = None
        self._changed.set()

    def hello_refused(self, error: CommandError) -> str | None:
        """Return the message for a rejected hello, or None to retry with another token."""
        return self._identity.hello_refused(error)

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Store the reason for a failed connection."""
        self._detail = detail or self._detail
        if link is Link.REFUSED:
            self._fail(Refused(detail))

    def warn(self, text: str) -> None:
        """Store a warning as the reason for a timeout."""
        self._detail = text

    def _fail(self, exc: ChatError | OSError) -> None:
        self._refusal = self._refusal or exc
        self._changed.set()


async def join_existing(client: ScriptClient, channel: str, advice: str = "") -> Joined:
    """Join an existing channel; unlike `/join`, this creates none.

    Raises:
        CommandError: the channel does not exist; the message ends with `advice`.
    """
    await client.session()
    is_known = is_direct(channel) or is_builtin(channel)
    is_known = is_known or fold(channel) in map(fold, client.channels)
    if not is_known and not await _is_listed(client, channel):
        raise CommandError(ErrorCode.NO_SUCH_CHANNEL, f"There is no channel {channel}.{advice}")
    return await client.ask(Join(channel=channel))


async def _is_listed(client: ScriptClient, channel: str) -> bool:
    cursor: str | None = None
    for _ in range(_PAGES_MAX):
        listed = await client.ask(Channels(cursor=cursor))
        if any(fold(each.channel) == fold(channel) for each in listed.channels):
            return True
        if listed.cursor is None or listed.cursor == cursor:
            return False
        cursor = listed.cursor
    return False
