"""Report the state of the server to systemd (sd_notify(3)): ready, reloading, stopping, alive."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping

__all__ = ["ServiceManager"]

log = logging.getLogger(__name__)

BEAT_EVERY = 10.0
"""Seconds between two reports of a long start, and at most between two of the watchdog."""
START_EXTENSION = 60.0
"""Seconds that a report asks for while the server starts; the next report comes before."""
PATIENCE = 1.0
"""Seconds that a change of state waits for a service manager that does not read. Linux queues only
ten reports, and a start whose end is not reported would be ended after its timeout."""
STOP_EXTENSION = 30.0
"""Seconds that a stop may take after the drain."""


class ServiceManager:
    """Reports to the socket of a service manager; does nothing without one.

    Args:
        address: the value of `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
        watchdog: seconds within which each report must follow the last; None: no limit.
    """

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog
        self._is_starting = True
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceManager:
        """Return the service manager that has started this process, if there is one."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return cls()
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        has_watchdog = is_meant and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if has_watchdog else None)

    def starting(self, loop: asyncio.AbstractEventLoop) -> None:
        """Report regularly that the event loop runs; until `ready`, also ask for more time."""
        if self._address:
            interval = BEAT_EVERY if self._watchdog is None else self._watchdog / 2
            self._timer = loop.call_later(min(interval, BEAT_EVERY), self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self.starting(loop)  # the next report
        if self._watchdog is not None:
            self._send("WATCHDOG=1")
        if self._is_starting:
            self._send(_extend(START_EXTENSION), "STATUS=Opening the database")

    def ready(self, status: str) -> None:
        """Report that clients can connect, also after `reloading`."""
        self._is_starting = False
        self._send("READY=1", f"STATUS={status}", patience=PATIENCE)

    def reloading(self) -> None:
        """Report that the settings are read again; `ready` must follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", patience=PATIENCE)

    def stopping(self, drain: float) -> None:
        """Report that the server drains, which takes up to `drain` seconds, and then stops."""
        self._is_starting = False
        self._send(
            "STOPPING=1",
            _extend(drain + STOP_EXTENSION),
            "STATUS=Disconnecting clients",
            patience=PATIENCE,
        )

    def stopped(self) -> None:
        """Report nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, *assignments: str, patience: float = 0.0) -> None:
        """Send a report; drop it if the socket's queue stays full for `patience` seconds."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(patience)
                sending.sendto("\n".join(assignments).encode(), self._address)
        except OSError as exc:  # the server works without a service manager
            log.debug("cannot report to the service manager: %s", exc)


def _extend(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}"
