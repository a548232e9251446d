"""An operator beside the server: repeatedly bans, disables and invites users; erases old texts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TypeVar

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from chat.errors import StartupError, StoreUnavailable
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.codec import decode_frame, encode
from chat.protocol.commands import Hello
from chat.protocol.frames import ErrorFrame, Welcome
from chat.store.accounts import AddBan, ChangeAccount, CreateInvitation, ForceExpiry, LiftBan
from chat.store.operations import Operation
from chat.store.store import execute
from tests.consistency.history import Claim, History, Stop

__all__ = ["Operator"]

Result = TypeVar("Result")
ANSWER_TIMEOUT = 8.0
KEPT = 10
"""Seconds for which texts are kept."""


class Operator:
    """Runs the operator's functions, and claims names with invitations.

    Args:
        store: the URL of the server's database.
        urls: return the addresses of the server; one of them leads through faults.
        outcasts: the users to ban and disable.
        history: collects the evidence.
        chance: the random decisions.
        rest: maximum seconds between two invitations.
    """

    def __init__(
        self,
        store: str,
        urls: tuple[Callable[[], str], ...],
        outcasts: list[str],
        history: History,
        chance: random.Random,
        rest: float,
    ) -> None:
        self._store = store
        self._urls = urls
        self._outcasts = outcasts
        self._history = history
        self._chance = chance
        self._rest = rest
        self._numbers = count(1)
        self._is_over = False

    async def run(self) -> None:
        """Act until `finish`; afterwards lift all bans, and wait for all claims."""
        async with asyncio.TaskGroup() as group:
            for name in self._outcasts:
                group.create_task(self._stop_and_admit(name))
            group.create_task(self._invite())
            group.create_task(self._expire())

    def finish(self) -> None:
        """Start no new acts."""
        self._is_over = True

    async def _stop_and_admit(self, name: str) -> None:
        while not self._is_over:
            await self._pause(0.5, 2)
            if self._chance.random() < 0.5:
                stopping: Operation[object] = AddBan(None, name, None, None, "pause")
                admitting: Operation[object] = LiftBan(None, name, None)
                acts = "banned", "unbanned"
            else:
                stopping = ChangeAccount(None, name, disabled=True)
                admitting = ChangeAccount(None, name, disabled=False)
                acts = "disabled", "enabled"
            await self._execute(stopping)
            stop = Stop(name, self._now())
            self._history.stops.append(stop)
            await self._pause(0.3, 1.5)
            stop.end = self._now()
            await self._execute(admitting)
            self._history.acts.update((act, name) for act in acts)

    async def _invite(self) -> None:
        """Claim more names with each invitation than it allows."""
        async with asyncio.TaskGroup() as group:
            while not self._is_over:
                uses = self._chance.randint(1, 2)
                made = await self._execute(CreateInvitation(None, uses=uses))
                for _ in range(uses + 1):
                    name = f"guest{next(self._numbers)}"
                    claim = Claim(name, made.invitation.id, uses)
                    self._history.claims.append(claim)
                    group.create_task(self._claim(claim, made.code))
                await self._pause(self._rest / 5, self._rest)

    async def _expire(self) -> None:
        """Let the server erase all texts that are older than some seconds."""
        while not self._is_over:
            await self._pause(2, 6)
            self._history.expiries.append(await self._execute(ForceExpiry(None, KEPT)))

    async def _claim(self, claim: Claim, code: str) -> None:
        """Repeat a `hello` with a new name until it is answered; then sign in once more."""
        token = f"token-of-{claim.name}-".ljust(40, "x")
        hello = Hello(v=PROTOCOL_VERSION, name=claim.name, token=token, invite=code)
        while claim.welcomes < 2 and not claim.refusal:
            with suppress(
                OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError
            ):
                async with connect(
                    self._chance.choice(self._urls)(),
                    proxy=None,
                    ping_interval=None,
                    open_timeout=ANSWER_TIMEOUT,
                    close_timeout=0.2,
                ) as socket:
                    await socket.send(encode(hello), text=True)
                    async with asyncio.timeout(ANSWER_TIMEOUT):
                        frame = decode_frame(await socket.recv())
                    if isinstance(frame, Welcome):
                        claim.welcomes += 1
                    elif isinstance(frame, ErrorFrame) and not frame.retryable:
                        claim.refusal = frame.code
            await self._pause(0.05, 0.4)

    async def _execute(self, operation: Operation[Result]) -> Result:
        while True:
            with suppress(StartupError, StoreUnavailable):
                return await asyncio.to_thread(execute, self._store, operation)
            await self._pause(0.1, 0.3)

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._chance.uniform(least, most))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
