"""The port to a kind of database: what the store needs of SQLite or PostgreSQL.

Everything else is SQLAlchemy Core, the same for all kinds. `backend_of` finds the implementation by
the URL: `sqlite` or `postgresql`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.store.operations import Delivered, Notice, Operation
from chat.store.words import Word

__all__ = [
    "CONNECTIONS",
    "FOLLOWERS",
    "INDEX_AFTER",
    "READERS",
    "SEARCHERS",
    "WELCOMERS",
    "Backend",
    "Begun",
    "Damaged",
    "Database",
    "Housekeeping",
    "IndexChanges",
    "Lookup",
    "NoDatabase",
    "backend_of",
]

READERS = 3
"""Reader threads, each with a connection."""
WELCOMERS = 1
"""Threads for the reads of sign-ins, so that history reads do not delay them."""
SEARCHERS = 1
"""Threads for searches, so that they do not delay other reads."""
FOLLOWERS = 1
"""Threads for what other servers have committed; without other servers, none is started."""
CONNECTIONS = READERS + WELCOMERS + SEARCHERS + FOLLOWERS + 1
"""Connections for reads: those of the threads, and one that looks for acts of other processes."""
INDEX_AFTER = 0.2
"""Seconds from a commit to the indexing of its messages; less if a full batch is pending."""


class Damaged(StartupError):
    """A damaged database."""


class NoDatabase(StartupError):
    """There is no database at the URL, so it is probably not the one that was meant."""


class Begun(NamedTuple):
    """A transaction of the writer that has its locks."""

    version: object
    """Equal to that of the previous transaction if the caches of its channels, members and accounts
    are still valid."""
    heads: Mapping[str, int] | None = None
    """The heads of the channels of the operations, by folded name; None if the caches are valid
    for heads, too."""
    is_exclusive: bool = True
    """Whether no other process commits at the same time."""
    now_ms: int | None = None
    """The time of the database; None if the process's clock is used."""


class IndexChanges(Protocol):
    """The changes of a transaction to the full-text index."""

    def add(self, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """Add a message, or the new text of an edited one."""

    def remove(self, event_id: int, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """Remove a message, whose text is erased.

        `event_id` is the id of the event that holds the text: the message or its latest edit.
        """

    def save(self, connection: Connection) -> None:
        """Write the changes, at the end of the transaction."""

    def clear(self) -> None:
        """Drop the changes that are not saved."""


class Lookup(Protocol):
    """Finds messages in a snapshot by their words."""

    is_behind: bool
    """Whether there are more unindexed messages than a search may read."""

    def is_windowed(self, words: Sequence[Word]) -> bool:
        """Whether a query for `words` reads only one window of a channel (see `words`)."""

    def look(
        self, words: Sequence[Word], channel_id: int, low: int, high: int, count: int
    ) -> tuple[list[int], int]:
        """Return the newest candidates in a channel, and the lowest seq that was searched.

        At most about `count` messages from `low` to `high`, in the window of `high` if the query
        is windowed. They may include messages without the words, so the caller must compare the
        texts.
        """


class Housekeeping(Protocol):
    """Work between commits, in short steps in the writer's thread."""

    @property
    def at(self) -> float | None:
        """When the next step is due (monotonic clock); None if there is none."""

    def committed(self, newest_event: int, *, has_erased: bool) -> None:
        """Schedule steps for a commit: its newest event, and whether text was erased."""

    def step(self) -> None:
        """Run the steps that are due."""

    def finish(self) -> None:
        """Purge erased text for at most a second; the store is closing."""

    def rebuild_index(self, error: DBAPIError, since: float) -> bool:
        """Start a rebuild if `error` means a damaged index; return whether one was started.

        `since` is the start of the failed statement: after a later rebuild, the error is outdated.
        """


class Database(Protocol):
    """An open database."""

    name: str
    """How messages call it: a path, or an address without a password."""
    server_id: str
    """Random id, created with the database; never changes. Empty if it was opened `shared`."""
    writer: Engine
    repairs: Engine
    """Like `writer`; it also connects while commits are refused after a failover."""
    readers: Engine
    """Each transaction of it is one snapshot, which cannot write."""

    checker: Engine
    """The same for checks and exports, which may take long and must use little memory."""

    def begin(
        self, connection: Connection, operations: Sequence[Operation[Any]], *, is_exclusive: bool
    ) -> Callable[[], Begun]:
        """Take the locks for `operations`, first in a transaction of the writer.

        Returns a function that waits for the locks. Statements that are started before it is called
        see what others committed before the locks were taken. Without `is_exclusive`, other
        processes may append to other channels at the same time, and change what belongs to a member
        there.
        """

    def publish(self, connection: Connection, notice: Notice) -> tuple[object, Notice | None]:
        """Record an exclusive commit, last in its transaction.

        Returns the version from now on, and the notice with its generation; None if no other
        server can share the database.
        """

    def event_ids(self, connection: Connection) -> tuple[int, int]:
        """Return the first id of a range for new events, and the end of the range."""

    def is_conflict(self, error: DBAPIError) -> bool:
        """Whether the transaction may succeed if it is run again."""

    def version(self, connection: Connection) -> object:
        """Return a value that changes when another process commits acts that are audited."""

    def index_changes(self) -> IndexChanges:
        """Return an empty set of changes to the full-text index."""

    def lookup(self, connection: Connection) -> Lookup:
        """Return the full-text index as of the snapshot of `connection`."""

    def generation(self, connection: Connection) -> int:
        """Return the number of exclusive commits; 0 if no other server can share the database."""

    def timeline(self, connection: Connection) -> str:
        """Return what changes when an older state of the database continues, as after a failover.

        Empty if no other server can share the database.
        """

    def renew_epochs(self, delivered: Sequence[Delivered]) -> list[int]:
        """Give the logs that do not contain what was delivered a new epoch.

        A log whose epoch is another one by now is left as it is. Returns the number of lost events
        of each renewed log, as far as they are known.
        """

    def notices_after(self, connection: Connection, generation: int) -> list[Notice] | None:
        """Return the notices of later generations, in order; None if some are removed already."""

    def housekeeping(self, connect: Callable[[], Connection], index_after: float) -> Housekeeping:
        """Return the work between commits.

        Args:
            connect: returns the writer's connection, which is not in a transaction.
            index_after: seconds from a commit to the indexing of its messages.
        """

    def interruption(self, connection: Connection) -> Callable[[], None]:
        """Return a function that interrupts the running query, called in another thread."""

    def is_unavailability(self, error: DBAPIError) -> bool:
        """Whether the database, its disk or another process caused an error, and not the SQL."""

    def is_of_index(self, error: DBAPIError) -> bool:
        """Whether an error means that only the full-text index is damaged."""

    def reason_of(self, error: DBAPIError) -> str:
        """Return why a statement failed, in one line."""

    def danger(self) -> str | None:
        """Return why messages stored from now on may be lost, or None."""

    def damages(self, connection: Connection) -> list[str]:
        """Return the problems that the database's own checks find."""

    def wrongly_indexed(self, connection: Connection) -> set[int]:
        """Return the ids of channels whose entries in the full-text index are wrong."""

    def check_is_writable(self) -> None:
        """Check that this process may write.

        Raises:
            StartupError: it may not.
        """

    def close(self, *, is_healthy: bool = False) -> None:
        """Close all connections and release the lock; idempotent.

        The next start checks the database for damage unless it `is_healthy`.
        """


class Backend(Protocol):
    """A kind of database."""

    def open(self, url: str, clock_ms: Callable[[], int]) -> Database:
        """Open the database as a server; create or migrate it if necessary.

        Raises:
            StartupError: it cannot be used.
        """

    def open_shared(self, url: str) -> Database:
        """Open an existing, current database beside servers that may be using it.

        Raises:
            StartupError: it does not exist, or another version of the program wrote it.
        """

    def check_is_current(self, url: str) -> None:
        """Check that the database exists and has the schema of this version.

        Raises:
            StartupError: it does not exist, is damaged, or has another schema.
        """

    def reindex(self, url: str) -> None:
        """Rebuild the full-text index in one transaction.

        Raises:
            StartupError: a server that must be stopped first uses the database, or it cannot be
                written; nothing was changed.
        """

    def copy_from(self, source: Database, url: str) -> None:
        """Create the database at `url` with everything that `source` has, in one transaction.

        Raises:
            StartupError: it is not empty, or this kind of database cannot receive a copy.
        """

    def taking_turns(self, url: str) -> AbstractContextManager[None]:
        """Wait until no other command that takes turns works on the database."""


_KINDS = {
    "sqlite": "chat.store.sqlite.database",
    "postgresql": "chat.store.postgresql.database",
}


def backend_of(url: str) -> Backend:
    """Return the kind of database at `url`.

    Raises:
        StartupError: there is no such kind, or its driver is not installed.
    """
    scheme = url.partition(":")[0]
    if scheme not in _KINDS:
        raise StartupError(
            "the store must be a URL like sqlite:////path/chat.db or postgresql://host/database, "
            f"not {url!r}"
        )
    try:
        backend: Backend = import_module(_KINDS[scheme]).BACKEND
    except ModuleNotFoundError as exc:
        if exc.name != "psycopg":
            raise
        raise StartupError(
            "a store on PostgreSQL needs psycopg, which is not installed:"
            " pip install '.[postgresql]'"
        ) from None
    return backend
