"""Carry out the erasures of accounts that the command line has requested."""

from __future__ import annotations

import asyncio
import logging

from chat.errors import CommandError, StoreUnavailable
from chat.server.channels.live import LiveChannels
from chat.server.writes import Writes
from chat.store.accounts import EraseNext

__all__ = ["Erasures"]

log = logging.getLogger(__name__)

RETRY_EVERY = 2.0
"""Seconds between attempts while the database is not accepting writes."""


class Erasures:
    """Submits one step after the other, so that other commands run between them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, writes: Writes, channels: LiveChannels
    ) -> None:
        self._loop = loop
        self._writes = writes
        self._channels = channels
        self._task: asyncio.Task[None] | None = None
        self._is_requested = False
        """Whether there may be a job that the running task has not seen."""

    def start(self) -> None:
        """Carry out the erasures that are not finished."""
        self._is_requested = True
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run())

    def stop(self) -> None:
        """Stop after the current step; the next start continues."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._is_requested:
            self._is_requested = False
            try:
                step = await self._writes.commit(EraseNext())
            except CommandError:
                log.exception("cannot erase an account; the next start of the server tries again")
                return
            except StoreUnavailable:
                self._is_requested = True
                await asyncio.sleep(RETRY_EVERY)
            else:
                for old, new in step.renamed:
                    self._channels.renamed(old, new)
                self._is_requested |= not step.is_last
