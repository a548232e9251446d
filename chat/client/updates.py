"""The way from the core's thread to the screens' thread: a list behind a lock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from chat.client.state import Update

__all__ = ["Updates"]

_log = logging.getLogger(__name__)

WAITING_MAX = 5_000


class Updates:
    """Updates that wait to be drained.

    A stopped terminal drains nothing for hours while the core goes on: beyond `WAITING_MAX`
    everything waiting is dropped, and `drain` says that all must be told anew.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Update] = []
        self._is_told = False
        self._has_overflowed = False

    def put(self, update: Update) -> None:
        """Add an update; wake the screens if they do not know yet that something waits."""
        with self._lock:
            if self._has_overflowed:
                return
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.clear()
                self._has_overflowed = True
            else:
                self._waiting.append(update)
            if self._is_told:
                return
            self._is_told = True
        try:
            self._wake()
        except Exception:  # the screens may be gone already; the core has work left
            _log.exception("waking the screens failed")

    def drain(self) -> tuple[list[Update], bool]:
        """Return what waits, oldest first, and whether something was dropped."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            overflowed, self._has_overflowed = self._has_overflowed, False
            self._is_told = False
            return waiting, overflowed
