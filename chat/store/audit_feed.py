"""Deliver audit entries with the commits of the writer, and those of other processes by polling.

The command line writes to the database beside a running server. The server must apply such an
entry within a second, in order, and exactly once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from chat.store.accounts import JOB_ACTS
from chat.store.backend import Database
from chat.store.operations import AuditEntry, Commit
from chat.store.read.accounts import audit_after
from chat.store.schema import audit

__all__ = ["AUDIT_EVERY", "AuditFeed"]

log = logging.getLogger(__name__)

AUDIT_EVERY = 0.25
"""Seconds between looks for entries of other processes."""


class AuditFeed:
    """Passes commits on, one at a time, each with the audit entries since the previous one.

    Args:
        database: reads the entries, with a connection of its own.
        deliver: gets each commit; called in the writer's thread, and in the feed's thread for the
            entries of other processes.
        every: seconds between looks for entries of other processes.
    """

    def __init__(
        self, database: Database, deliver: Callable[[Commit], None], every: float = AUDIT_EVERY
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._every = every
        self._connection: Connection | None = None
        self._version: object = None
        self._lock = threading.Lock()
        """Held during a delivery, so that the entries of both threads stay in order."""
        self._first_own: int | None = None
        """The writer's first entry that may be committed and is not passed on yet."""
        with database.readers.begin() as connection:
            self._last = connection.scalar(select(func.max(audit.c.seq))) or 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-audit", daemon=True)
        self._thread.start()

    def committing(self, seq: int) -> None:
        """Leave the entries from `seq` on to the writer, which commits them now.

        Otherwise the thread could deliver them before the events and answers of their commit.
        """
        self._first_own = seq if self._first_own is None else min(seq, self._first_own)

    def committed(self, commit: Commit) -> None:
        """Pass on a commit of the writer, or its failure, with its entries."""
        with self._lock:
            self._first_own = None
            if commit.audit:
                entries = self._next(commit.audit)
                commit = replace(
                    commit, audit=entries, has_jobs=commit.has_jobs or _have_jobs(entries)
                )
            self._hand_over(commit)

    def close(self) -> None:
        """End the thread; call it after the last commit."""
        self._closing.set()
        self._thread.join()
        self._disconnect()

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            with self._lock:
                if entries := self._look():
                    self._last = entries[-1].seq
                    self._hand_over(Commit((), (), entries, _have_jobs(entries)))

    def _next(self, own: Sequence[AuditEntry]) -> Sequence[AuditEntry]:
        """Return all entries up to those of the writer's commit, and mark them as delivered.

        It reads them if another process has added some in between, or if the thread has delivered
        some of them already. If the disk cannot be read, the thread delivers them later.
        """
        entries = own if own[0].seq == self._last + 1 else self._read()
        if entries:
            self._last = entries[-1].seq
        return entries

    def _hand_over(self, commit: Commit) -> None:
        try:
            self._deliver(commit)
        # The commit is on disk. A fault of the receiver must not end the thread that writes, or
        # the one that looks: nothing would be stored, or no ban applied, until a restart.
        except Exception:
            log.exception("cannot deliver a commit")

    def _look(self) -> Sequence[AuditEntry]:
        """Return the entries that are not delivered yet, if anything was committed."""
        try:
            connection = self._connect()
            version = self._database.version(connection)
            if version == self._version:
                return ()
        except DBAPIError:
            self._disconnect()
            return ()
        if self._version is None:
            self._return_to_newest()
        entries = self._read()
        first_own = self._first_own  # set before these entries could be read
        self._version = version if self._connection is not None and first_own is None else None
        return [each for each in entries if first_own is None or each.seq < first_own]

    def _return_to_newest(self) -> None:
        """Continue with the newest entry if the database has lost some that were delivered."""
        try:
            with self._connect().begin() as transaction:
                newest = transaction.connection.scalar(select(func.max(audit.c.seq))) or 0
        except DBAPIError:
            self._disconnect()
            return
        if newest < self._last:
            log.error("the database has lost %d entries of the audit log", self._last - newest)
            self._last = newest

    def _read(self) -> Sequence[AuditEntry]:
        try:
            connection = self._connect()
            with connection.begin():
                return audit_after(connection, self._last)
        except DBAPIError:  # the store's other reads report it
            self._disconnect()
            return ()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.readers.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._version = None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _have_jobs(entries: Sequence[AuditEntry]) -> bool:
    return any(entry.act in JOB_ACTS for entry in entries)
