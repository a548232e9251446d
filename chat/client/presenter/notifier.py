"""Decide whether to notify now: focus, do not disturb, and what is visible.

The messages that deserve a notification are chosen in `model/notifications.py`; whether a message
is visible is decided in `conversation.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Protocol

from chat.client.model.notifications import Burst, Notification
from chat.client.model.state import NotificationDue
from chat.client.platform.local_time import local_zone

__all__ = ["NotificationSink", "Notifier", "PreferenceStore"]

_FOREVER = float("inf")
_DAY = 86_400
_QUIET, _ON = "quiet-until", "on"


class NotificationSink(Protocol):
    """Shows notifications to the user."""

    def notify(self, notification: Notification) -> None:
        """Show a notification in the configured way."""

    def run_in_background(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a background task."""


class PreferenceStore(Protocol):
    """Preferences on disk."""

    def save_pref(self, key: str, value: str) -> None:
        """Save a preference; an empty value removes it."""

    def pref(self, key: str) -> str:
        """Return a preference; empty if there is none."""


class Notifier:
    """Notifies the user of messages on all servers.

    Args:
        sink: shows notifications.
        preferences: stores the end of "do not disturb".
        clock: counts seconds.
        now: returns the time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        sink: NotificationSink,
        preferences: PreferenceStore,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._sink = sink
        self._preferences = preferences
        self._clock = clock
        self._now = now
        self._burst = Burst()
        self._is_waiting = False
        self._quiet_until = 0.0
        self._known = ""
        """The stored settings, as last read or written by this client."""
        self._changed: Callable[[], None] = lambda: None

    @property
    def is_quiet(self) -> bool:
        """Whether "do not disturb" is on, set here or in another client on the same file."""
        self._load()
        return self._quiet_until > self._clock()

    @property
    def note(self) -> str:
        """The status text of "do not disturb"; empty if it is off."""
        self._load()
        left = self._quiet_until - self._clock()
        if left <= 0:
            return ""
        if left == _FOREVER:
            return "do not disturb"
        return f"do not disturb until {datetime.now(local_zone()) + timedelta(seconds=left):%H:%M}"

    def be_quiet(self, minutes: float | None, changed: Callable[[], None]) -> None:
        """Turn on "do not disturb" for some minutes or without an end (None); 0 turns it off.

        `changed` is called now, and when the minutes are over.
        """
        seconds = _FOREVER if minutes is None else minutes * 60
        end = _ON if minutes is None else f"{int(self._now() + seconds)} {int(seconds)}"
        self._known = end if seconds else ""
        self._preferences.save_pref(_QUIET, self._known)
        self._be_quiet(seconds, changed)
        changed()

    def resume(self, changed: Callable[[], None]) -> None:
        """Restore "do not disturb" from the stored preference.

        `changed` is called if it is on, and when it ends. Later changes by other clients on the
        same file are applied too.
        """
        self._changed = changed
        if self.is_quiet:
            changed()

    def _load(self) -> None:
        """Apply the stored preference if another client, or an earlier run, has changed it.

        It never lasts longer than the user asked for, even if a clock was wrong.
        """
        kept = self._preferences.pref(_QUIET)
        if kept == self._known:
            return
        self._known = kept
        end, _, asked = kept.partition(" ")
        most = int(asked) if asked.isdecimal() else _DAY  # older clients store only the end
        left = min(int(end) - self._now(), most) if end.isdecimal() else 0.0
        self._be_quiet(_FOREVER if kept == _ON else max(left, 0.0), self._changed)

    def _be_quiet(self, seconds: float, changed: Callable[[], None]) -> None:
        self._quiet_until = self._clock() + seconds if seconds else 0.0
        if 0 < seconds < _FOREVER:
            self._sink.run_in_background(_after(seconds, changed))

    def take(self, due: NotificationDue, is_seen: Callable[[], bool]) -> None:
        """Notify the user of a message, now or merged with the next ones, unless it is visible."""
        if not self.is_quiet and not is_seen():
            self._burst.add(due, is_seen)
            self._notify()

    def _notify(self) -> None:
        notification = self._burst.take(self._clock())
        if notification is not None and not self.is_quiet:
            self._sink.notify(notification)
        wait = self._burst.wait(self._clock())
        if wait is not None and not self._is_waiting:
            self._is_waiting = True
            self._sink.run_in_background(_after(wait, self._notify_waiting))

    def _notify_waiting(self) -> None:
        self._is_waiting = False
        self._notify()


async def _after(seconds: float, act: Callable[[], None]) -> None:
    await asyncio.sleep(seconds)
    act()
