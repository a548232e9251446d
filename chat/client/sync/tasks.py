"""A group of tasks that end together; failures are reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Tasks"]


class Tasks:
    """Runs tasks until `cancel`.

    Args:
        failed: called with the exception of a failed task.
        ended: called after each task.
    """

    def __init__(
        self, failed: Callable[[Exception], None], ended: Callable[[], None] = lambda: None
    ) -> None:
        self._failed = failed
        self._ended = ended
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    @property
    def running(self) -> int:
        """Number of running tasks."""
        return len(self._running)

    async def cancel(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        exc = None if task.cancelled() else task.exception()
        if isinstance(exc, Exception):
            self._failed(exc)
        self._ended()
