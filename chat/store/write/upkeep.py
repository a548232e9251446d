"""Upkeep between commits: last sign-ins, old addresses, ended bans and mutes.

It runs in the writer's thread in short steps. A sign-in with a known token writes nothing by
itself, so that a thousand clients can reconnect at once, even while the disk refuses writes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, bindparam, delete, or_, select, update
from sqlalchemy.exc import DBAPIError

from chat.store.backend import Database
from chat.store.schema import audit, bans, channel_bans, devices, mutes
from chat.store.sql import Prepared

__all__ = ["Upkeep"]

log = logging.getLogger(__name__)

SEEN_AFTER = 2.0
"""Seconds from a sign-in until its time is stored."""
RETRY = 5.0
EVERY = 86_400.0
"""Seconds between searches for old addresses, ended bans and mutes."""
FIRST = 60.0
"""Seconds from the start to the first of them."""
ADDRESS_MS = 90 * 86_400_000
"""Milliseconds after which the audit log forgets an address."""
STEP = 500
"""Most entries whose addresses are removed in one step."""

_SEEN = Prepared(
    update(devices).where(devices.c.id == bindparam("device")).values(seen=bindparam("when"))
)
_OLD = Prepared(
    select(audit.c.seq, audit.c.details)
    .where(
        audit.c.seq > bindparam("after"),
        audit.c.ts < bindparam("before"),
        or_(
            audit.c.address.is_not(None),
            or_(audit.c.act == "banned", audit.c.act == "unbanned")
            & audit.c.details.contains('"network"'),
        ),
    )
    .order_by(audit.c.seq)
    .limit(STEP)
)
_FORGET = Prepared(
    update(audit)
    .where(audit.c.seq == bindparam("entry"))
    .values(address=None, details=bindparam("rest"))
)
_REMOVE_ENDED = tuple(
    Prepared(delete(table).where(table.c.until <= bindparam("now")))
    for table in (bans, channel_bans, mutes)
)


class Upkeep:
    """Stores sign-in times and removes old addresses, in short steps between commits.

    Args:
        database: classifies errors.
        connect: returns the writer's connection, which is not in a transaction.
        clock_ms: milliseconds since 1970.
        first: seconds from the start to the first search for old addresses.
    """

    def __init__(
        self,
        database: Database,
        connect: Callable[[], Connection],
        clock_ms: Callable[[], int],
        first: float = FIRST,
    ) -> None:
        self._database = database
        self._connect = connect
        self._clock_ms = clock_ms
        self._sightings: dict[int, int] = {}
        # Monotonic times; None: nothing to do.
        self._seen_at: float | None = None
        self._forget_at = time.monotonic() + first
        self._forgotten = 0
        """The last entry of the current search for old addresses."""

    @property
    def at(self) -> float:
        """When the next step is due (monotonic clock)."""
        return min(self._forget_at, self._seen_at or self._forget_at)

    def saw(self, sightings: Mapping[int, int]) -> None:
        """Schedule the storing of sign-in times, by device."""
        if sightings:
            self._sightings.update(sightings)
            if self._seen_at is None:
                self._seen_at = time.monotonic() + SEEN_AFTER

    def step(self) -> None:
        """Run the steps that are due."""
        now = time.monotonic()
        if self._seen_at is not None and now >= self._seen_at:
            self._seen_at = None if self._store_sightings() else now + RETRY
        if now >= self._forget_at:
            self._forget_at = now + self._forget()

    def finish(self) -> None:
        """Store the pending sign-in times; the store is closing."""
        self._store_sightings()

    def _store_sightings(self) -> bool:
        if not self._sightings:
            return True
        rows = [{"device": device, "when": when} for device, when in self._sightings.items()]
        try:
            connection = self._connect()
            with connection.begin():
                _SEEN.run_many(connection, rows)
        except DBAPIError:  # the next commit reports it; losing a time is harmless
            return False
        self._sightings.clear()
        return True

    def _forget(self) -> float:
        """Remove old addresses, ended bans and mutes; return the seconds until the next step."""
        now = self._clock_ms()
        try:
            connection = self._connect()
            with connection.begin():
                for statement in _REMOVE_ENDED:
                    statement.run(connection, now=now)
                where = {"after": self._forgotten, "before": now - ADDRESS_MS}
                old = _OLD.all(connection, **where)
                if old:
                    rows = [
                        {"entry": row.seq, "rest": _without_network(row.details)} for row in old
                    ]
                    _FORGET.run_many(connection, rows)
        except DBAPIError as exc:
            if self._database.is_unavailability(exc):
                return RETRY
            log.error("cannot remove old addresses from the audit log", exc_info=exc)
            return EVERY
        self._forgotten = old[-1].seq if old else 0
        return 0.0 if old else EVERY


def _without_network(details: str) -> str:
    known = json.loads(details)
    known.pop("network", None)
    return json.dumps(known, ensure_ascii=False)
