"""Run the jobs of the store: erasures, and what the command line cannot do itself."""

from __future__ import annotations

import asyncio
import logging

from chat.errors import StoreUnavailable
from chat.server.channels.live import LiveChannels
from chat.server.writes import Writes
from chat.store.operations import Failure, JobStep, PendingCall, RunNextJob

__all__ = ["Jobs"]

log = logging.getLogger(__name__)

RETRY_EVERY = 2.0
"""Seconds between attempts while the database is not accepting writes."""


class Jobs:
    """Submits one step after the other, so that other commands run between them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, writes: Writes, channels: LiveChannels
    ) -> None:
        self._loop = loop
        self._writes = writes
        self._channels = channels
        self._is_running = False
        """Whether a step is submitted, or will be after a pause."""
        self._is_requested = False
        """Whether there may be a job that the submitted step has not seen."""
        self._is_stopped = False

    def start(self) -> None:
        """Run the jobs that are not finished."""
        self._is_requested = True
        if not self._is_running:
            self._is_running = True
            self._submit()

    def stop(self) -> None:
        """Stop after the current step; the next start continues."""
        self._is_stopped = True

    def _submit(self) -> None:
        # Without a task: an idle server has none but its own.
        if not self._is_stopped:
            self._is_requested = False
            self._writes.submit(PendingCall(RunNextJob(), self._done, self._failed))

    def _done(self, step: JobStep) -> None:
        for old, new in step.renamed:
            self._channels.renamed(old, new)
        if self._is_requested or not step.is_last:
            self._submit()
        else:
            self._is_running = False

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure, StoreUnavailable):
            self._loop.call_later(RETRY_EVERY, self._submit)
        else:
            self._is_running = False
            log.error(
                "a job of the store failed; the next start of the server tries again",
                exc_info=failure,
            )
