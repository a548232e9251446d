"""The writer thread: a queue, group commit, and probes while the disk refuses writes.

Operations that arrive during a commit go into the next one. While many arrive, the next commit
waits some milliseconds for more. Between commits the thread keeps house
(`sqlite.housekeeping`, `upkeep`), and after a failed write it probes whether writes work again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import DBAPIError

from chat.errors import CommandError, StoreFault, StoreUnavailable
from chat.protocol.values import Limits
from chat.store.accounts import (
    AccountOperation,
    AddAccount,
    AddBan,
    AddDevice,
    ChangeAccount,
    CreateInvitation,
    CreateLink,
    EraseAccount,
    ForceExpiry,
    LiftBan,
    RecordAct,
    RecordSettings,
    RevokeDevice,
    RevokeInvitation,
    SetPassword,
    SignIn,
)
from chat.store.backend import Database
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeclineInvitation,
    DeleteChannel,
    Expire,
    FollowThread,
    IgnoreUser,
    InviteToChannel,
    Kick,
    LiftChannelBan,
    MarkThread,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
    WithdrawInvitation,
)
from chat.store.operations import (
    Batch,
    ChannelOperation,
    Commit,
    DeleteMessage,
    EditMessage,
    JoinChannel,
    LeaveChannel,
    MarkRead,
    Operation,
    Pending,
    PinMessage,
    Prefer,
    ReactToMessage,
    RunNextJob,
    SendMessage,
    SetTopic,
)
from chat.store.schema import meta
from chat.store.write.accounts.administration import (
    add_account,
    add_ban,
    change_account,
    create_invitation,
    lift_ban,
    record_act,
    record_settings,
    revoke_invitation,
)
from chat.store.write.accounts.erasure import erase_account
from chat.store.write.accounts.sign_in import (
    add_device,
    create_link,
    revoke_device,
    set_password,
    sign_in,
)
from chat.store.write.channels.invitations import decline, invite, withdraw
from chat.store.write.channels.member_settings import ignore, mark_read, prefer
from chat.store.write.channels.membership import create, delete_channel, join, leave
from chat.store.write.channels.moderation import ban, change_settings, kick, mute, set_role, unmute
from chat.store.write.channels.moderation import lift_ban as lift_channel_ban
from chat.store.write.jobs import run_next_job
from chat.store.write.messages.append import append
from chat.store.write.messages.expiry import expire, force_expiry
from chat.store.write.messages.threads import follow_thread, mark_thread
from chat.store.write.transaction import Transaction, Unclaimed
from chat.store.write.upkeep import Upkeep

__all__ = ["CLOSED", "GATHER", "PROBE_EVERY", "STALLED_AFTER", "Writer", "decide"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")

BATCH_MAX = 1_000
"""Most operations of one commit."""
GATHER = 0.008
"""Seconds between the starts of two commits while operations arrive in quick succession.

A commit costs as much CPU as ten messages. With 1,000 messages per second, this takes a third off
the CPU of a message and adds 4 ms to its delivery. A commit does not wait once all users of the
last one are back, so users who wait for their answers are not delayed.
"""
GATHERED = (1.2, 16.0)
"""Range of the usual operations per commit in which commits are delayed. Below it, the next
operation waits for the answer to this one; above it, a commit costs little per operation."""
CONFLICTS_MAX = 5
"""Most repetitions of a commit that conflicts with one of another server."""
STALLED_AFTER = 10.0
"""Seconds without an end of a commit, while operations wait, after which the disk counts as
failing."""
PROBE_EVERY = 2.0
"""Seconds between probes while writes fail."""
_SETTLED = 30
"""Multiple of `PROBE_EVERY` without a failed write after which the recovery is logged."""
CLOSED = "the store is closed"
NO_WRITES = (
    "%s is not accepting writes: %s. Stored messages are safe; new ones are refused, and clients "
    "retry them. Free disk space, stop the program that locks the file, or start PostgreSQL; the "
    "server then recovers by itself."
)

_RULES: dict[type[Operation[Any]], Callable[[Transaction, Any], Any]] = {
    SendMessage: append,
    EditMessage: append,
    DeleteMessage: append,
    ReactToMessage: append,
    PinMessage: append,
    SetTopic: append,
    MarkRead: mark_read,
    Prefer: prefer,
    JoinChannel: join,
    LeaveChannel: leave,
    CreateChannel: create,
    DeleteChannel: delete_channel,
    InviteToChannel: invite,
    WithdrawInvitation: withdraw,
    DeclineInvitation: decline,
    Kick: kick,
    BanFromChannel: ban,
    LiftChannelBan: lift_channel_ban,
    MuteMember: mute,
    UnmuteMember: unmute,
    SetChannelRole: set_role,
    ChangeSettings: change_settings,
    IgnoreUser: ignore,
    SignIn: sign_in,
    AddDevice: add_device,
    RevokeDevice: revoke_device,
    CreateLink: create_link,
    SetPassword: set_password,
    AddAccount: add_account,
    ChangeAccount: change_account,
    CreateInvitation: create_invitation,
    RevokeInvitation: revoke_invitation,
    AddBan: add_ban,
    LiftBan: lift_ban,
    RecordAct: record_act,
    RecordSettings: record_settings,
    EraseAccount: erase_account,
    ForceExpiry: force_expiry,
    RunNextJob: run_next_job,
    MarkThread: mark_thread,
    FollowThread: follow_thread,
    Expire: expire,
}
"""The rule of each operation; it returns the result or raises a `CommandError`."""
_PROBE = "probe"
_INTERNAL = "internal server error; nothing was stored (see the server's log)"


def decide(transaction: Transaction, operation: Operation[Result]) -> Result:
    """Check the standing of the operation's user, then run its rule.

    Raises:
        CommandError: the operation is refused.
    """
    if isinstance(operation, ChannelOperation | IgnoreUser):
        transaction.check_standing(operation.user)
    elif isinstance(operation, AccountOperation) and operation.actor is not None:
        transaction.check_standing(operation.actor)
    rule: Callable[[Transaction, Operation[Result]], Result] = _RULES[type(operation)]
    return rule(transaction, operation)


class Writer:
    """The writer thread; `Store` documents the contract of `submit` and `committed`."""

    def __init__(
        self,
        database: Database,
        transaction: Transaction,
        committing: Callable[[int], None],
        committed: Callable[[Commit], None],
        defer: Callable[[Callable[[], None]], object],
        clock_ms: Callable[[], int],
        index_after: float,
        probe_every: float,
        gather: float,
        stalled_after: float,
    ) -> None:
        self.fault: str | None = None
        """Reason for the failure of the last commit; None if it succeeded."""
        self._stalled_after = stalled_after
        self._moved_at = float("-inf")
        """Time at which the last commit ended, or the first operation after it was submitted."""
        self._database = database
        self._transaction = transaction
        self._committing_entries = committing
        """Gets the number of a transaction's first audit entry just before COMMIT."""
        self._committed = committed
        self._defer = defer
        self._connection: Connection | None = None
        self._waiting: list[Pending[Any]] = []
        self._committing = 0
        """Operations of the running commit."""
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        """Wakes the thread for the first queued operation; waking it for each took 1.5 µs."""
        self._awaited: set[int] = set()
        """Users of the last commit who have not submitted an operation since."""
        self._all_back = threading.Event()
        """Set while `_awaited` is empty."""
        self._index_error: tuple[DBAPIError, float] | None = None
        self._lock = threading.Lock()
        self._is_closed = False
        self._gather = gather
        self._begun_at = float("-inf")
        """Time at which the last commit began."""
        self._usual_size = 1.0
        """Moving average of the operations per commit."""
        self._unwritten = 0
        """Operations decided before the transaction wrote anything."""
        self._house = database.housekeeping(self._connect, index_after)
        self._upkeep = Upkeep(database, self._connect, clock_ms)
        self._probe_every = probe_every
        self._probe_at: float | None = None
        self._settled_at: float | None = None
        """Time to log the recovery, unless a write fails before: a nearly full disk accepts some
        writes and refuses others."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Queue operations; wake the thread once the other operations of the turn are queued.

        Woken at once, it would take the first one: uvloop lets other threads run before each
        callback, which made four times as many commits.

        Raises:
            StoreUnavailable: the store is closed.
        """
        with self._lock:
            if self._is_closed:
                raise StoreUnavailable(CLOSED)
            if not self.waiting:
                self._moved_at = time.monotonic()
            if not self._waiting:
                self._defer(self._wake)
            self._waiting += batch
            if self._awaited:
                self._awaited.difference_update(_users_of(batch))
                if not self._awaited:
                    self._all_back.set()

    def use_limits(self, limits: Limits) -> None:
        """Use other limits from the next commit on."""
        self._transaction.next_limits = limits

    @property
    def waiting(self) -> int:
        """Number of operations that are queued or being committed."""
        return len(self._waiting) + self._committing

    @property
    def stall(self) -> str | None:
        """Why no commit ends while operations wait, in one line; None if commits end."""
        seconds = time.monotonic() - self._moved_at
        if not self.waiting or seconds < self._stalled_after:
            return None
        return f"no commit has finished for {seconds:.0f} s; the disk may not be responding"

    def rebuild_index(self, error: DBAPIError, since: float) -> None:
        """Request a rebuild of the full-text index; a read begun at `since` found it damaged."""
        with self._lock:
            self._index_error = error, since
            self._wakeups.put(None)

    def close(self) -> None:
        """Commit the queued operations and end the thread; idempotent."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._wakeups.put(None)
        self._thread.join()

    def _wake(self) -> None:
        self._wakeups.put(None)

    # The thread

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._keep_house()
            batch, is_last = self._take()
            if batch:
                self._begun_at = time.monotonic()
                self._usual_size += (len(batch) - self._usual_size) / 8
                self._committing = len(batch)
                commit = self._commit(batch)
                self._moved_at = time.monotonic()
                self._committing = 0
                self._committed(commit)
        self._finish()

    def _take(self) -> tuple[Batch, bool]:
        """Wait for operations or housekeeping; return the operations, and whether to end."""
        due = (self._house.at, self._upkeep.at, self._probe_at, self._settled_at)
        moments = [at for at in due if at is not None]
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        with suppress(Empty):
            self._wakeups.get(timeout=timeout)
        self._gather_more()
        with self._lock:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            index_error, self._index_error = self._index_error, None
            if self._waiting:
                self._wakeups.put(None)
            if batch:
                self._awaited = {*_users_of(batch)}.difference(_users_of(self._waiting))
                if self._awaited:
                    self._all_back.clear()
                else:
                    self._all_back.set()
            is_last = self._is_closed and not self._waiting
        if index_error is not None:
            self._house.rebuild_index(*index_error)
        return batch, is_last

    def _gather_more(self) -> None:
        """Let more operations arrive if that makes the next commit worthwhile."""
        least, most = GATHERED
        if least < self._usual_size < most:
            wait = self._begun_at + self._gather - time.monotonic()
            if wait > 0 and not self._is_closed:
                self._all_back.wait(wait)

    def _commit(self, batch: Batch) -> Commit:
        """Commit a batch in one transaction, or one operation at a time if that fails."""
        try:
            return self._transact(batch)
        except Exception as exc:
            self._transaction.forget()
            self._drop_connection()
            if isinstance(exc, DBAPIError) and self._house.rebuild_index(exc, time.monotonic()):
                return self._commit(batch)
            if self._is_of_database(exc):
                self._refuse(batch[self._unwritten :], exc)
                return self._failed(batch)
            if len(batch) == 1:
                log.exception("an operation failed: %s", type(batch[0].operation).__name__)
                batch[0].failure = StoreFault(_INTERNAL)
                return self._failed(batch)
        return _joined(batch, [self._commit([pending]) for pending in batch])

    def _failed(self, batch: Batch) -> Commit:
        """Return the commit of a batch of which nothing was stored."""
        return Commit((), batch, began=self._begun_at, ended=time.monotonic())

    def _transact(self, batch: Batch) -> Commit:
        """Commit a batch; repeat it if it conflicts with a commit of another server."""
        for _ in range(CONFLICTS_MAX):
            try:
                return self._transact_once(batch)
            except DBAPIError as exc:
                if not self._database.is_conflict(exc):
                    raise
                self._transaction.forget()
        return self._transact_once(batch)

    def _transact_once(self, batch: Batch) -> Commit:
        if all(pending.operation.is_shared for pending in batch):
            with suppress(Unclaimed):
                return self._run_batch(batch, is_exclusive=False)
            self._transaction.forget()
        return self._run_batch(batch, is_exclusive=True)

    def _run_batch(self, batch: Batch, *, is_exclusive: bool) -> Commit:
        transaction, connection = self._transaction, self._connect()
        operations = [pending.operation for pending in batch]
        self._unwritten = 0
        with connection.begin():
            transaction.begin(connection, operations, is_exclusive=is_exclusive)
            for pending in batch:
                self._decide(pending)
                if not transaction.has_written:
                    self._unwritten += 1
            transaction.finish()
            if transaction.entries:
                self._committing_entries(transaction.entries[0].seq)
        ended = time.monotonic()
        if transaction.has_written:
            self._recovered()
        self._upkeep.saw(transaction.sightings)
        self._house.committed(transaction.last_event, has_erased=transaction.has_erased)
        return Commit(
            transaction.events,
            batch,
            transaction.entries,
            transaction.has_jobs,
            transaction.uninvited,
            transaction.kept_hidden(),
            transaction.channel_ids,
            transaction.notice.generation if transaction.notice is not None else 0,
            transaction.notice,
            self._begun_at,
            ended,
        )

    def _decide(self, pending: Pending[Result]) -> None:
        try:
            pending.result = decide(self._transaction, pending.operation)
            pending.failure = None
        except CommandError as exc:
            # Drop the traceback: the failure outlives its frames and must not keep them in memory.
            pending.failure = exc.with_traceback(None)

    def _refuse(self, batch: Batch, error: Exception) -> None:
        """Fail operations whose results depend on the rolled-back transaction.

        The server answers each with `unavailable` and `retry_after` (`server/refusals.py`).
        """
        reason = self._reason(error)
        # Log an outage once, even if the reason varies.
        if self.fault is None and self._settled_at is None:
            log.error(NO_WRITES, self._database.name, reason)
        self.fault, self._settled_at = reason, None
        self._probe_at = time.monotonic() + self._probe_every
        for pending in batch:
            pending.failure = StoreUnavailable(f"the database is not accepting writes: {reason}")

    def _is_of_database(self, error: Exception) -> bool:
        """Whether the database caused an error, not a single operation."""
        return isinstance(error, DBAPIError) and self._database.is_unavailability(error)

    def _reason(self, error: Exception) -> str:
        return self._database.reason_of(error) if isinstance(error, DBAPIError) else str(error)

    def _recovered(self) -> None:
        if self.fault is not None:
            self.fault = self._probe_at = None
            self._settled_at = time.monotonic() + _SETTLED * self._probe_every

    def _log_recovery(self) -> None:
        log.warning("the database is accepting writes again")
        self._settled_at = None

    # Housekeeping

    def _keep_house(self) -> None:
        self._house.step()
        self._upkeep.step()
        now = time.monotonic()
        if self._probe_at is not None and now >= self._probe_at:
            self._probe_at = now + self._probe_every
            self._probe()
        if self._settled_at is not None and now >= self._settled_at:
            self._log_recovery()

    def _probe(self) -> None:
        """Write a row to test whether writes work again."""
        try:
            connection = self._connect()
            with connection.begin():
                connection.execute(delete(meta).where(meta.c.key == _PROBE))
                connection.execute(insert(meta), {"key": _PROBE, "value": str(time.time())})
        except DBAPIError as exc:
            self.fault = self._database.reason_of(exc)
            self._drop_connection()
        else:
            self._recovered()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.writer.connect()
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except DBAPIError:
                log.exception("cannot close the database")

    def _finish(self) -> None:
        """Store pending sign-in times, purge deleted text, and close the connection."""
        if self._settled_at is not None:
            self._log_recovery()
        self._upkeep.finish()
        self._house.finish()
        self._drop_connection()


def _joined(batch: Batch, commits: Sequence[Commit]) -> Commit:
    """Return the commits of the single operations of `batch` as one."""
    return Commit(
        [event for commit in commits for event in commit.events],
        batch,
        [entry for commit in commits for entry in commit.audit],
        any(commit.has_jobs for commit in commits),
        [each for commit in commits for each in commit.uninvited],
        {name: names for commit in commits for name, names in commit.kept_hidden.items()},
        [each for commit in commits for each in commit.channel_ids],
        began=commits[0].began,
        ended=commits[-1].ended,
    )


def _users_of(batch: Batch) -> Iterator[int]:
    for pending in batch:
        if isinstance(pending.operation, ChannelOperation):
            yield pending.operation.user.id
