"""Whether the server works and takes new clients: the content of `/healthz` and `/readyz`."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Database", "Health"]

DRAINING = "the server is stopping"


class Database(Protocol):
    """A store that knows whether it works."""

    def healthy(self) -> str | None:
        """Return why the last commit or a recent read failed, in one line, or None."""


class Health:
    """The state of a server for load balancers and operators; used on the event loop.

    A stop or a drain sets `is_draining` before it sends the first `bye`, and nothing resets it.
    From then on `/readyz` answers 503, and so does every new WebSocket handshake. `/healthz` does
    not change: a server that drains still works.

    Args:
        database: the open store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_draining = False
        """Whether new clients are refused."""

    @property
    def fault(self) -> str | None:
        """Why the database cannot be read or written, in one line; None if it can."""
        return self._database.healthy()

    def unready(self) -> list[str]:
        """Return why new clients should go elsewhere: a line for each reason; empty if ready."""
        reasons = [DRAINING] if self.is_draining else []
        if (fault := self.fault) is not None:
            reasons.append(f"the database cannot be used: {fault}")
        return reasons
