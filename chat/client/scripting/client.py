"""A signed-in client for scripts: asks one thing after the other.

A lost connection is made again by the same `Connector` that the screens use, and what was asked is
asked again: everything a visit asks for may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from chat import __version__
from chat.client.config.settings import ClientSettings
from chat.client.exit_codes import NotConfirmed
from chat.client.model.state import Link
from chat.client.network.auth import Identity
from chat.client.network.connector import Connector, NotNow, Refused
from chat.client.network.errors import Offline, Unanswered
from chat.client.network.session import Session, insist
from chat.errors import ChatError, CommandError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import AnsweredBy, Hello
from chat.protocol.frames import ServerFrame, Welcome
from chat.protocol.values import Limits
from chat.text import check_channel, direct_channel

__all__ = ["ScriptClient"]

_GOODBYE = 3.0
_Answer = TypeVar("_Answer")


class ScriptClient:
    """Asks a server, through as many connections as it takes; a `Follower` of its connector.

    Make one with `ScriptClient.open`.

    Args:
        settings: with a name.
        patience: seconds without an achievement after which it gives up.
        take: gets every frame, in order; an error it raises ends the visit.
    """

    def __init__(
        self, settings: ClientSettings, patience: float, take: Callable[[ServerFrame], None]
    ) -> None:
        self.user = settings.name
        self.limits = Limits()
        self.channels: set[str] = set()
        """The channels that one was a member of when the connection began."""
        self._settings = settings
        self._patience = patience
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
        patience: float,
        take: Callable[[ServerFrame], None] = lambda _: None,
    ) -> AsyncIterator[ScriptClient]:
        """Begin a visit.

        Raises:
            NotConfirmed: nothing was achieved for as long as one was ready to wait.
        """
        visit = cls(settings, patience, take)
        connecting = asyncio.create_task(Connector(settings.url, visit).run())
        try:
            async with asyncio.timeout(patience) as visit._limit:
                yield visit
        except TimeoutError:
            why = visit._detail or f"the server at {settings.url} does not answer"
            raise NotConfirmed(f"{why} (gave up after {patience:g} s)") from None
        finally:
            connecting.cancel()
            # Bounded: a goodbye that hangs must not hold up the exit code.
            await asyncio.wait([connecting], timeout=_GOODBYE)

    def achieved(self) -> None:
        """Restart the timeout: something was achieved."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._patience)

    def wait_for_ever(self) -> None:
        """Count no more: it is not the server that one waits for."""
        if self._limit is not None:
            self._limit.reschedule(None)

    def channel(self, word: str) -> str:
        """Return the channel that `word` means; `@bob` is the direct channel with bob.

        Raises:
            ValueError: it is no channel.
        """
        if word.startswith("@"):
            return check_channel(direct_channel([self.user, *word[1:].split(",")]))
        return check_channel(word)

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Send a command until there is an answer.

        Raises:
            CommandError: it is refused.
            Refused: the server does not let one in.
        """
        while True:
            session = await self.session()
            try:
                answer = await insist(session, command)
            except Offline:
                if self._session is session:  # it is over, and its end is about to be told
                    self._session = None
                continue
            except Unanswered as exc:
                self._detail = str(exc)
                continue
            self.achieved()
            return answer

    async def session(self) -> Session:
        """Return the session, as soon as there is one.

        Raises:
            Refused: the server does not let one in.
        """
        while self._refusal is None and (self._session is None or self._session.is_over):
            self._changed.clear()
            await self._changed.wait()
        if self._refusal is not None:
            raise self._refusal
        assert self._session is not None
        return self._session

    async def changed(self, session: Session) -> bool:
        """Wait until `wake`, or the end of `session`; return whether it still lasts.

        Raises:
            ChatError: the visit has failed.
        """
        if self._session is session and self._refusal is None:
            await self._changed.wait()
            self._changed.clear()
        if self._refusal is not None:
            raise self._refusal
        return self._session is session

    def wake(self) -> None:
        """End the wait of `changed`."""
        self._changed.set()

    # Reports of the connector

    def met(self, url: str, server_id: str) -> Hello:
        """Say who we are."""
        try:
            token = self._identity.met(url, server_id)
        except NotNow as exc:  # nobody is there to make room on the disk
            raise Refused(str(exc)) from exc
        return Hello(
            v=PROTOCOL_VERSION,
            name=self._settings.name,
            token=token,
            client=f"chat-client {__version__}",
        )

    def welcomed(self, session: Session, welcome: Welcome) -> Callable[[ServerFrame], None]:
        """Go to work."""
        self._identity.welcomed()
        self.user, self.limits = welcome.user, welcome.limits
        self.channels = {membership.channel for membership in welcome.channels}
        self._session, self._detail = session, ""
        self._changed.set()
        return self._take

    def _take(self, frame: ServerFrame) -> None:
        try:
            self._take_frame(frame)
        except (ChatError, OSError) as exc:  # the log, or who reads the output
            self._fail(exc)

    async def lost(self) -> None:
        """Wait for the next session."""
        self._session = None
        self._changed.set()

    def refused(self, error: CommandError) -> str | None:
        """Say what to do about a refused hello; None: come back with another."""
        return self._identity.refused(error)

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Note what is in the way."""
        self._detail = detail or self._detail
        if link is Link.REFUSED:
            self._fail(Refused(detail))

    def complain(self, text: str) -> None:
        """Note that the server does something it must not."""
        self._detail = text

    def _fail(self, exc: ChatError | OSError) -> None:
        self._refusal = self._refusal or exc
        self._changed.set()
