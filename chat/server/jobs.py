"""Background work of the store, in small steps: jobs, and the retention of messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from chat.errors import StoreUnavailable
from chat.server.channels.live import LiveChannels
from chat.store.channels import Expire, Expired
from chat.store.operations import Failure, JobStep, Operation, PendingCall, RunNextJob
from chat.store.store import Store

__all__ = ["Steps", "jobs", "retention"]

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_EVERY = 2.0
"""Seconds between attempts while the database is not accepting writes."""


class Steps(Generic[T]):
    """Submits one operation after the other, so that other commands run between them.

    Args:
        loop: runs the pauses.
        store: runs the operations.
        operation: a step.
        done: called with its result; returns the seconds until the next step. None: no step is
            needed until `start`.
        name: the work, for the log.
        retry_every: seconds between attempts while the database is not accepting writes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: Store,
        operation: Operation[T],
        done: Callable[[T], float | None],
        name: str,
        *,
        retry_every: float = RETRY_EVERY,
    ) -> None:
        self._loop = loop
        self._store = store
        self._operation = operation
        self._after = done
        self._name = name
        self._retry_every = retry_every
        self._is_running = False
        """Whether a step is submitted, or will be after a pause."""
        self._is_requested = False
        """Whether there may be work that the submitted step has not seen."""
        self._is_stopped = False
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Run the steps that are due."""
        self._is_requested = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            self._submit()
        elif not self._is_running:
            self._is_running = True
            self._submit()

    def stop(self) -> None:
        """Stop after the current step; the next start of the server continues."""
        self._is_stopped = True
        if self._pause is not None:
            self._pause.cancel()

    def _submit(self) -> None:
        # Without a task: an idle server has none but its own.
        self._pause = None
        if not self._is_stopped:
            self._is_requested = False
            self._store.submit([PendingCall(self._operation, self._done, self._failed)])

    def _done(self, result: T) -> None:
        pause = self._after(result)
        if self._is_requested or pause == 0:
            self._submit()
        elif pause is None:
            self._is_running = False
        elif not self._is_stopped:
            self._pause = self._loop.call_later(pause, self._submit)

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure, StoreUnavailable):
            if not self._is_stopped:
                self._pause = self._loop.call_later(self._retry_every, self._submit)
        else:
            self._is_running = False
            log.error(
                "%s failed; the next start of the server tries again",
                self._name,
                exc_info=failure,
            )


def jobs(loop: asyncio.AbstractEventLoop, store: Store, channels: LiveChannels) -> Steps[JobStep]:
    """Return the runner of the store's jobs, which commits announce (`Commit.has_jobs`)."""

    def done(step: JobStep) -> float | None:
        for old, new in step.renamed:
            channels.renamed(old, new)
        return None if step.is_last else 0

    return Steps(loop, store, RunNextJob(), done, "a job of the store")


def retention(
    loop: asyncio.AbstractEventLoop,
    store: Store,
    server_wide: timedelta | None,
    *,
    retry_every: float = RETRY_EVERY,
) -> Steps[Expired]:
    """Return the sweep that erases the texts of old messages.

    Args:
        loop: runs the pauses.
        store: runs the steps.
        server_wide: the server's retention; None: only channels with one of their own.
        retry_every: see `Steps`.
    """
    seconds = 0 if server_wide is None else int(server_wide.total_seconds())
    logged: set[int] = set()
    """Refused channels that were logged already."""

    def done(step: Expired) -> float | None:
        if step.jump:
            log.error(
                "no more messages are erased: the system clock has jumped by %s. Check the clock,"
                " then restart the server",
                timedelta(seconds=round(step.jump)),
            )
            return None
        for channel in set(step.refused) - logged:
            log.error(
                "messages of channel %d are not erased, because it would be more than a tenth of"
                " them at once. Check the clock and the setting `retention`, then run `chat-server"
                " expire --force`",
                channel,
            )
        logged.update(step.refused)
        return step.next_in

    operation = Expire(seconds)
    return Steps(loop, store, operation, done, "erasing old messages", retry_every=retry_every)
