"""Whether the server works and takes new clients: the content of `/healthz` and `/readyz`."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Database", "Health"]

DRAINING = "the server is stopping"
CUT_OFF = "the server cannot follow the other servers on its database"
NO_BROKER = "degraded: the broker cannot be reached; new messages of other servers are late"


class Database(Protocol):
    """A store that knows whether it works."""

    def healthy(self) -> str | None:
        """Return why the last commit or a recent read failed, in one line, or None."""


class Cluster(Protocol):
    """The connection with the other servers on the database."""

    is_cut_off: bool
    """Whether the server delivers nothing, because it could not follow the others."""

    @property
    def is_broker_up(self) -> bool:
        """Whether the broker can be reached."""


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
        """Whether the server is stopping."""
        self.relay: Cluster | None = None
        """None: the server is alone on its database."""

    @property
    def refusal(self) -> str | None:
        """Why new clients are refused, in one line; None if they are not."""
        if self.is_draining:
            return DRAINING
        return CUT_OFF if self.relay is not None and self.relay.is_cut_off else None

    @property
    def degradation(self) -> str | None:
        """What works less well than it should, in one line; the server is ready all the same."""
        return None if self.relay is None or self.relay.is_broker_up else NO_BROKER

    @property
    def fault(self) -> str | None:
        """Why the database cannot be read or written, in one line; None if it can."""
        return self._database.healthy()

    def unready(self) -> list[str]:
        """Return why new clients should go elsewhere: a line for each reason; empty if ready."""
        reasons = [self.refusal] if self.refusal is not None else []
        if (fault := self.fault) is not None:
            reasons.append(f"the database cannot be used: {fault}")
        return reasons
