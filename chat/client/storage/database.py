"""The client's SQLite file: outbox, messages, positions, drafts.

One SQLite file for each server and name. What is typed is committed with `synchronous=FULL` before
anything is sent; lines, positions and what the server confirmed are committed together, so a
position never claims a line that is not there.

Two clients of one person may share the file. Each takes up what the other did to outbox, drafts,
preferences, and how channels are wanted and read. A channel's record is merged with the stored one
in the transaction that writes it; see `ChannelRecord.merged`. Of the rest the later writer's
stands: a stale position costs reading a page again. A client that throws a log's lines away raises
the channel's `generation`: of the other's next write to the channel only wishes are taken, and it
starts that channel anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chat.client.model.records import ChannelRecord, Damaged, DiskTrouble, OutboxRow
from chat.client.model.state import SERVER_NAME, Message
from chat.client.storage.codec import channel_from, channel_json, line_from, line_json
from chat.client.storage.private_files import make_private_directory, open_private
from chat.client.storage.schema import SCHEMA_VERSION, bring_up_to_date, version_of
from chat.errors import StartupError
from chat.text import fold

__all__ = ["Cache", "was_signed_in"]

BUSY = 5.0
"""Seconds to wait for the other client that writes to the file."""
BUSY_RETRY = 0.01
"""Seconds between two attempts where SQLite does not wait by itself."""
CACHE_KIB = 512
"""Of the file, in memory; pages are read once, and SQLite's own 2 MB would mostly hold old ones."""
_RECORDS = "SELECT name, generation, record FROM channels WHERE record <> ''"
OPENINGS = 10
"""How often a file is opened that is taken away meanwhile."""


class Cache:
    """An open file; used by one thread.

    Args:
        patience: seconds to wait for a lock while opening.
        unwritable: why the file cannot be written, if that is known. Then a copy in memory of
            what can be read of it stands in for it, and every write raises `DiskTrouble`.

    Raises:
        StartupError: the file was written by a newer version.
        DiskTrouble: (opening, and every method that writes) the disk is not accepting writes.
        Damaged: (every method, and opening) the file is broken, or gone.
    """

    def __init__(self, path: Path, *, patience: float = BUSY, unwritable: str = "") -> None:
        self.path = path
        self._patience = patience
        self._data_version = 0
        self._known: dict[str, tuple[int, str]] = {}
        """Generation and record of each channel, as this client last read or wrote them."""
        self._unwritable = unwritable
        if unwritable:
            self._db = self._copied()
            return
        try:
            make_private_directory(path.parent)
        except StartupError as exc:
            raise DiskTrouble(str(exc)) from exc
        for _ in range(OPENINGS):
            self._db = self._connected()
            try:
                with self._speaking_plainly():
                    self._prepare()
                    self._db.execute(f"PRAGMA busy_timeout={int(BUSY * 1000)}").fetchall()
                return
            except (Damaged, DiskTrouble) as exc:
                trouble = exc
                self._db.close()
            except StartupError:
                self._db.close()
                raise
            if self.is_there:  # else another client took it away at this moment
                break
        raise trouble

    def _connected(self) -> sqlite3.Connection:
        try:
            file = open_private(self.path, os.O_CREAT | os.O_RDWR)
            self._inode = os.fstat(file).st_ino
            os.close(file)
            return sqlite3.connect(self.path, isolation_level=None, timeout=self._patience)
        except OSError as exc:
            raise DiskTrouble(f"cannot write to {self.path}: {exc.strerror or exc}") from exc
        except sqlite3.Error as exc:
            raise DiskTrouble(f"cannot open {self.path}: {exc}") from exc

    def _copied(self) -> sqlite3.Connection:
        """Return a copy of what can be read of the file, in memory."""
        # The file's log may need a file beside it that cannot be made, and the file may be locked;
        # `immutable` cares for neither. A copy that came out wrong is not used.
        can_be_read = self.path.is_file() and not self.path.is_symlink()  # a pipe would block
        for query in ("mode=ro", "mode=ro&immutable=1") if can_be_read else ():
            copy = sqlite3.connect(":memory:", isolation_level=None)
            with contextlib.suppress(sqlite3.Error):
                uri = f"{self.path.absolute().as_uri()}?{query}"
                with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0)) as file:
                    version_of(file)  # fails where it is locked, for which `backup` would wait
                    file.backup(copy)
                self._check_version(copy)
                bring_up_to_date(copy)
                if copy.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                    return copy
            copy.close()
        empty = sqlite3.connect(":memory:", isolation_level=None)
        bring_up_to_date(empty)
        return empty

    def _prepare(self) -> None:
        self._check_version(self._db)  # before anything is changed
        self._switch_to_wal()
        for pragma in ("synchronous=FULL", "secure_delete=ON", f"cache_size=-{CACHE_KIB}"):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        if version_of(self._db) < SCHEMA_VERSION:  # a full disk takes not even an empty change
            with self._writing():
                bring_up_to_date(self._db)

    def _check_version(self, db: sqlite3.Connection) -> None:
        if version_of(db) > SCHEMA_VERSION:
            raise StartupError(f"{self.path} was written by a newer chat-client; update this one")

    def _switch_to_wal(self) -> None:
        # SQLite's busy timeout does not apply to this statement, and SQLite has no call that waits
        # for a lock: two clients that start together would fail. So it is retried, at most
        # `patience` seconds; this thread has nothing else to do before the file is open.
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL").fetchall()
            except sqlite3.OperationalError as exc:
                busy = exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(BUSY_RETRY)
            else:
                return

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # The outbox

    def outbox(self) -> list[OutboxRow]:
        """Return what waits, in the order it was typed."""
        with self._speaking_plainly():
            rows = self._db.execute(
                "SELECT cid, channel, command, ts, state, reason FROM outbox ORDER BY place"
            )
            return [OutboxRow(*row) for row in rows]

    def put_outbox(self, row: OutboxRow) -> None:
        """Add `row`, or change its state and reason; it is on disk when this returns."""
        with self._writing():
            self._db.execute(
                "INSERT INTO outbox (cid, channel, command, ts, state, reason)"
                " VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (cid) DO UPDATE SET state = excluded.state, reason = excluded.reason",
                (row.cid, row.channel, row.command, row.ts, row.state, row.reason),
            )

    def has_outbox(self, cid: str) -> bool:
        """Whether the row of `cid` is still there; another client may have discarded it."""
        with self._speaking_plainly():
            found = self._db.execute("SELECT 1 FROM outbox WHERE cid = ?", (cid,)).fetchone()
            return found is not None

    def drop_outbox(self, cid: str) -> None:
        """Remove a row; it is gone from the disk when this returns."""
        with self._writing():
            self._db.execute("DELETE FROM outbox WHERE cid = ?", (cid,))

    def has_changed_elsewhere(self) -> bool:
        """Whether another client has written to the file since this was asked last."""
        with self._speaking_plainly():
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        before, self._data_version = self._data_version, version
        return bool(version != before)

    # Lines and channels

    def channels(self) -> list[ChannelRecord]:
        """Return all channels."""
        with self._speaking_plainly():
            found = []
            for name, generation, text in self._db.execute(_RECORDS):
                channel = channel_from(text, generation)
                if channel.name.startswith(("#", "@")):  # an older client kept whatever name came
                    found.append(channel)
                    self._known[name] = generation, text
            return found

    def channel(self, name: str) -> ChannelRecord | None:
        """Return a channel as it is stored now; None if it is not."""
        with self._speaking_plainly():
            generation, text = self._stored(name)
            return channel_from(text, generation) if text else None

    def merge_others(
        self, records: Mapping[str, Callable[[], ChannelRecord]]
    ) -> list[tuple[ChannelRecord, ChannelRecord]]:
        """Return the channels that another client wrote: merged with this one's, and as stored.

        Args:
            records: make this client's records of its channels, by name; the others are left out.
        """
        with self._speaking_plainly():
            rows = [(row[0], (row[1], row[2])) for row in self._db.execute(_RECORDS)]
            changed = [
                row for row in rows if row[0] in records and self._known.get(row[0]) != row[1]
            ]
            found = []
            for name, (generation, text) in changed:
                stored = channel_from(text, generation)
                found.append((records[name]().merged(self.known(name), stored), stored))
            self._known.update(changed)
            return found

    def _stored(self, name: str) -> tuple[int, str]:
        row = self._db.execute(
            "SELECT generation, record FROM channels WHERE name = ?", (name,)
        ).fetchone()
        return row or (0, "")

    def known(self, name: str) -> ChannelRecord | None:
        """Return a channel as it was last read or written here; None if it never was."""
        generation, text = self._known.get(name, (0, ""))
        return channel_from(text, generation) if text else None

    def line(self, channel: str, seq: int) -> Message | None:
        """Return one line."""
        with self._speaking_plainly():
            row = self._db.execute(
                "SELECT body FROM lines WHERE channel = ? AND seq = ?", (channel, seq)
            ).fetchone()
            return line_from(row[0]) if row else None

    def lines_before(self, channel: str, before: int, lowest: int, limit: int) -> list[Message]:
        """Return the last `limit` lines from `lowest` up to but without `before`, in order."""
        with self._speaking_plainly():
            rows = self._db.execute(
                "SELECT body FROM lines WHERE channel = ? AND seq >= ? AND seq < ?"
                " ORDER BY seq DESC LIMIT ?",
                (channel, lowest, before, limit),
            ).fetchall()
            return [line_from(body) for (body,) in reversed(rows)]

    def lines_with(self, channel: str, seqs: range, raw: tuple[str, str]) -> list[Message]:
        """Return the lines with a number of `seqs` whose JSON holds one of `raw`, in order.

        `raw` is looked for without regard to the capitals of ASCII, and may not hold `%` or `_`.
        """
        with self._speaking_plainly():
            rows = self._db.execute(
                "SELECT body FROM lines WHERE channel = ? AND seq >= ? AND seq < ?"
                " AND (body LIKE ? OR body LIKE ?) ORDER BY seq",
                (channel, seqs.start, seqs.stop, *(f"%{each}%" for each in raw)),
            ).fetchall()
            return [line_from(body) for (body,) in rows]

    def thread(self, channel: str, root: int, limit: int) -> list[Message]:
        """Return the root of a thread and its last `limit` replies, in order."""
        with self._speaking_plainly():
            rows = self._db.execute(
                "SELECT body FROM lines WHERE channel = ? AND thread = ? ORDER BY seq DESC LIMIT ?",
                (channel, root, limit),
            ).fetchall()
            replies = [line_from(body) for (body,) in reversed(rows)]
        first = self.line(channel, root)
        return [first, *replies] if first is not None else replies

    def save(
        self,
        lines: Iterable[Message],
        channels: Iterable[ChannelRecord],
        confirmed: Iterable[str] = (),
    ) -> list[ChannelRecord]:
        """Write lines, positions, and that outbox rows are done: all of it, or nothing.

        Returns:
            Records that another client changed, merged. One of another generation was started
            anew there: only this client's wishes were written.
        """
        merged = []
        refused: set[str] = set()
        written: dict[str, tuple[int, str]] = {}
        with self._writing():
            for record in channels:
                found = self._merged(record)
                if found is not record:
                    merged.append(found)
                if found.generation != record.generation:
                    refused.add(record.name)
                if found.generation == record.generation or self._stored(record.name)[1]:
                    written[record.name] = self._put_channel(found)
            self._db.executemany(
                "INSERT INTO lines (channel, seq, rev, body, thread) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (channel, seq) DO UPDATE SET rev = excluded.rev, body = excluded.body"
                " WHERE excluded.rev >= rev",
                [
                    (line.channel, line.seq, line.rev, line_json(line), line.thread)
                    for line in lines
                    if line.channel not in refused
                ],
            )
            self._db.executemany("DELETE FROM outbox WHERE cid = ?", [(c,) for c in confirmed])
        self._known |= written
        return merged

    def _merged(self, record: ChannelRecord) -> ChannelRecord:
        """Return what is to be stored of a channel; within a transaction."""
        generation, text = stored = self._stored(record.name)
        if not text:  # nothing is stored, or another client has forgotten the channel
            is_forgotten = generation > record.generation
            return replace(record, generation=generation) if is_forgotten else record
        if stored == self._known.get(record.name) and generation == record.generation:
            return record
        return record.merged(self.known(record.name), channel_from(text, generation))

    def _put_channel(self, record: ChannelRecord) -> tuple[int, str]:
        stored = record.generation, channel_json(record)
        self._db.execute(
            "INSERT OR REPLACE INTO channels (name, generation, record) VALUES (?, ?, ?)",
            (record.name, *stored),
        )
        return stored

    def size(self) -> int:
        """Return the bytes of the file that are in use."""
        with self._speaking_plainly():
            pages, free, bytes_each = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            return int((pages - free) * bytes_each)

    def largest_channel(self) -> str | None:
        """Return the channel whose lines take the most room; None if there are no lines."""
        with self._speaking_plainly():
            row = self._db.execute(
                "SELECT channel FROM lines GROUP BY channel ORDER BY sum(length(body)) DESC LIMIT 1"
            ).fetchone()
            return row[0] if row else None

    def generation(self, channel: str) -> int:
        """Return the channel's generation; 0 if it is not known."""
        with self._speaking_plainly():
            row = self._db.execute(
                "SELECT generation FROM channels WHERE name = ?", (channel,)
            ).fetchone()
            return row[0] if row else 0

    def discard_lines(self, channel: str, record: ChannelRecord) -> ChannelRecord:
        """Throw the channel's lines away and start it anew with `record`.

        Returns:
            The record with its new generation, and with what another client wishes for.
        """
        with self._writing():
            merged = self._merged(record)
            started = replace(
                record,
                wish=merged.wish,
                preference=merged.preference,
                generation=self._stored(channel)[0] + 1,
            )
            self._db.execute("DELETE FROM lines WHERE channel = ?", (channel,))
            written = self._put_channel(started)
        self._known[channel] = written
        return started

    def forget_channel(self, channel: str) -> None:
        """Forget a channel that one is no member of any more; its outbox and draft stay."""
        with self._writing():
            self._db.execute("DELETE FROM lines WHERE channel = ?", (channel,))
            self._db.execute(
                "UPDATE channels SET record = '', generation = generation + 1 WHERE name = ?",
                (channel,),
            )
        self._known.pop(channel, None)

    def count_above(
        self, channel: str, seq: int, me: str, limit: int, last: int = 2**62
    ) -> tuple[int, int]:
        """Return how many messages of others there are above `seq`, and mentions of `me`.

        Lines above `last` are not counted: another client may have stored more than this one knows.
        """
        unread = mentions = 0
        for line in self.lines_before(channel, last + 1, seq + 1, limit):
            if line.kind == "message" and not line.erased and fold(line.author) != fold(me):
                unread += 1
                mentions += any(fold(name) == fold(me) for name in line.mentions)
        return unread, mentions

    # Drafts and preferences

    def drafts(self) -> dict[str, str]:
        """Return the drafts by channel."""
        with self._speaking_plainly():
            return dict(self._db.execute("SELECT channel, text FROM drafts").fetchall())

    def put_drafts(self, drafts: dict[str, str]) -> None:
        """Keep drafts; an empty one is forgotten."""
        self._put_pairs(
            "INSERT OR REPLACE INTO drafts VALUES (?, ?)",
            "DELETE FROM drafts WHERE channel = ?",
            drafts,
        )

    def prefs(self) -> dict[str, str]:
        """Return what `put_prefs` kept."""
        with self._speaking_plainly():
            return dict(self._db.execute("SELECT key, value FROM prefs").fetchall())

    def put_prefs(self, prefs: dict[str, str]) -> None:
        """Keep what the screens want to find again next time; an empty one is forgotten."""
        self._put_pairs(
            "INSERT OR REPLACE INTO prefs VALUES (?, ?)", "DELETE FROM prefs WHERE key = ?", prefs
        )

    def _put_pairs(self, put: str, forget: str, pairs: dict[str, str]) -> None:
        with self._writing():
            for name, value in pairs.items():
                if value:
                    self._db.execute(put, (name, value))
                else:
                    self._db.execute(forget, (name,))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; undone as a whole if anything in it fails."""
        if self._unwritable:
            raise DiskTrouble(self._unwritable)
        if not self.is_there:  # writing into a file without a name would only look like keeping
            raise Damaged(f"{self.path} is not there any more")
        with self._speaking_plainly():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @property
    def is_there(self) -> bool:
        """Whether the open file still bears its name: nobody has deleted it or set it aside."""
        if self._unwritable:
            return False
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    @contextlib.contextmanager
    def _speaking_plainly(self) -> Iterator[None]:
        """Turn the library's errors into ours: the disk's, which pass, and the file's."""
        try:
            yield
        except sqlite3.OperationalError as exc:
            if _is_damage(exc):
                raise Damaged(f"{self.path} is damaged: {exc}") from exc
            raise DiskTrouble(f"cannot write to {self.path}: {exc}") from exc
        except (sqlite3.DatabaseError, ValueError) as exc:  # ValueError: what a row holds is broken
            raise Damaged(f"{self.path} is damaged: {exc}") from exc


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is broken."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Where a table is missing, or looks otherwise, SQLite speaks of an error in the statement.
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def was_signed_in(path: Path) -> bool:
    """Whether a server has accepted the name that the account's file `path` belongs to."""
    if not path.exists():
        return False
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as db:
        name: tuple[Any, ...] | None = db.execute(
            "SELECT value FROM prefs WHERE key = ? AND value != ''", [SERVER_NAME]
        ).fetchone()
        return name is not None or db.execute("SELECT 1 FROM channels").fetchone() is not None
    return False
