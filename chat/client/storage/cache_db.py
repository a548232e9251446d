"""`cache.db`: messages, and the position in each channel; the server has all of it.

Lines are committed in one transaction with the position and coverage that they belong to. A damaged
file is deleted and filled again.

Two clients of one user may share the file. Lines are only replaced by newer versions, so any
client's record of a channel is valid for the stored lines, and the last write wins. A client that
drops a channel's lines deletes its row; the other client sees that at its next save and loads the
channel again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chat.client.model.fold import without_text
from chat.client.model.records import ChannelRecord, DamagedFile
from chat.client.model.state import Message
from chat.client.storage.codec import THREAD_ONLY, channel_from, channel_json, line_from, line_json
from chat.client.storage.database import BUSY, Database, Tables
from chat.errors import StartupError

__all__ = ["CACHE_TABLES", "CHANNELS", "CacheDb"]

CHANNELS = """
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    record TEXT NOT NULL
)"""
CACHE_TABLES = Tables(
    3,  # versions 1 and 2 used one file, see `recovery`
    """
CREATE TABLE lines (
    channel TEXT NOT NULL,
    seq INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    body BLOB NOT NULL,
    thread INTEGER,
    PRIMARY KEY (channel, seq)
) WITHOUT ROWID;
CREATE INDEX lines_by_thread ON lines (channel, thread, seq) WHERE thread IS NOT NULL;
"""
    + CHANNELS,
    "NORMAL",
)

_IN_CHANNEL = f"(instr(body, '{THREAD_ONLY}') = 0)"
_EXPIRE = """
UPDATE lines SET rev = :rev, body = json_object(
    'channel', channel, 'seq', seq, 'cid', json_extract(body, '$.cid'),
    'author', json_extract(body, '$.author'), 'ts', json_extract(body, '$.ts'),
    'thread', json_extract(body, '$.thread'),
    'thread_only', json(CASE WHEN instr(body, :thread_only) THEN 'true' ELSE 'false' END),
    'erased', json('true'), 'rev', :rev
) WHERE channel = :channel AND seq <= :up_to AND rev < :rev
    AND json_extract(body, '$.kind') IS NULL AND json_extract(body, '$.erased') IS NULL"""
"""Erases the texts of all messages up to a seq; the kind of other lines is stored."""
_EXPIRE_OTHERS = """
UPDATE lines SET body = CASE json_extract(body, '$.kind')
    WHEN 'topic' THEN json_set(json_remove(body, '$.text'), '$.erased', json('true'))
    ELSE json_remove(body, '$.moderation.reason')
END WHERE channel = :channel AND seq <= :up_to AND (
    json_extract(body, '$.kind') = 'topic' AND json_extract(body, '$.erased') IS NULL
    OR json_extract(body, '$.moderation.reason') <> ''
)"""
"""Erases the texts of all topics, and the reasons of moderation, up to a seq."""


class CacheDb:
    """The cache of one account; the file is created at the first save.

    Lines are only returned for channels that this client has read from the file or saved.

    Args and errors are those of `Database`; a file of another version counts as damaged.
    """

    def __init__(self, path: Path, *, timeout: float = BUSY, unwritable: str = "") -> None:
        self.path = path
        self._timeout = timeout
        self.unwritable = unwritable
        self._rows: dict[str, int] = {}
        """The row of each channel that this client knows."""
        self._discarded: set[str] = set()
        """Channels whose lines are deleted at the next save."""
        self._expired: dict[str, tuple[int, int]] = {}
        """By channel: the seq up to which texts are erased at the next save, and the event's."""
        exists = unwritable or path.exists() or path.is_symlink()
        self._file = self._open() if exists else None

    def _open(self) -> Database:
        try:
            return Database(
                self.path, CACHE_TABLES, timeout=self._timeout, unwritable=self.unwritable
            )
        except StartupError as exc:
            raise DamagedFile(str(exc)) from exc

    @property
    def exists(self) -> bool:
        """Whether the open file still has its name, so nobody has deleted it."""
        return self._file is not None and self._file.exists

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def channels(self) -> list[ChannelRecord]:
        """Return all channels; from now on their lines are returned, too."""
        if self._file is None:
            return []
        with self._file.reading():
            found = []
            for row, text in self._file.rows("SELECT id, record FROM channels"):
                channel = channel_from(text)
                if channel.name.startswith(("#", "@")):  # older clients stored invalid names
                    found.append(channel)
                    self._rows[channel.name] = row
            return found

    def line(self, channel: str, seq: int) -> Message | None:
        """Return one line."""
        found = self._lines(channel, "seq = ?", seq)
        return found[0] if found else None

    def lines_before(self, channel: str, before: int, lowest: int, limit: int) -> list[Message]:
        """Return the last `limit` lines with `lowest <= seq < before`, in order.

        Replies that are only in their threads are left out; `thread_only` returns them.
        """
        clause = f"seq >= ? AND seq < ? AND {_IN_CHANNEL} ORDER BY seq DESC LIMIT ?"
        return self._lines(channel, clause, lowest, before, limit)[::-1]

    def thread_only(self, channel: str, before: int, lowest: int, limit: int) -> list[Message]:
        """Return the last `limit` replies that are only in their threads, in order."""
        clause = f"seq >= ? AND seq < ? AND thread > 0 AND NOT {_IN_CHANNEL}"
        return self._lines(channel, f"{clause} ORDER BY seq DESC LIMIT ?", lowest, before, limit)[
            ::-1
        ]

    def lines_with(self, channel: str, seqs: range, raw: tuple[str, str]) -> list[Message]:
        """Return the lines in `seqs` whose JSON contains one of `raw`, in order.

        The match ignores ASCII case; `raw` must not contain `%` or `_`.
        """
        clause = "seq >= ? AND seq < ? AND (body LIKE ? OR body LIKE ?) ORDER BY seq"
        return self._lines(channel, clause, seqs.start, seqs.stop, *(f"%{each}%" for each in raw))

    def thread(self, channel: str, root: int, limit: int) -> list[Message]:
        """Return the root of a thread and its last `limit` replies, in order."""
        replies = self._lines(channel, "thread = ? ORDER BY seq DESC LIMIT ?", root, limit)
        first = self.line(channel, root)
        return [*([first] if first is not None else []), *reversed(replies)]

    def _lines(self, channel: str, clause: str, *values: object) -> list[Message]:
        if self._file is None or channel not in self._rows:
            return []
        # `clause` is a constant of this class; every value from outside is a parameter.
        query = f"SELECT body FROM lines WHERE channel = ? AND {clause}"  # noqa: S608
        with self._file.reading():
            found = [line_from(body) for (body,) in self._file.rows(query, channel, *values)]
        up_to, rev = self._expired.get(channel, (0, 0))
        return [
            without_text(line, rev) if (line.seq or 0) <= up_to and line.rev < rev else line
            for line in found
        ]

    def expire(self, channel: str, up_to: int, rev: int) -> None:
        """Erase all texts up to `up_to`, from the disk at the next save."""
        if channel in self._rows:
            self._expired[channel] = (up_to, rev)

    @property
    def has_discarded(self) -> bool:
        """Whether lines must be deleted at the next save."""
        return bool(self._discarded)

    def save(self, lines: Iterable[Message], channels: Iterable[ChannelRecord]) -> set[str]:
        """Write lines and records in one transaction.

        Returns:
            Channels that another client has reset: nothing of them was written.
        """
        if self._file is None:
            self._file = self._open()
        rows: dict[str, int | None] = {}
        with self._file.writing() as db:
            for name in self._discarded:
                db.execute("DELETE FROM lines WHERE channel = ?", (name,))
                db.execute("DELETE FROM channels WHERE name = ?", (name,))
            for record in channels:
                rows[record.name] = self._put(record)
            for name, (up_to, rev) in self._expired.items():
                given = {"channel": name, "up_to": up_to, "rev": rev}
                db.execute(_EXPIRE, {**given, "thread_only": THREAD_ONLY})
                db.execute(_EXPIRE_OTHERS, {"channel": name, "up_to": up_to})
            db.executemany(
                "INSERT INTO lines (channel, seq, rev, body, thread) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (channel, seq) DO UPDATE SET rev = excluded.rev, body = excluded.body"
                " WHERE excluded.rev >= rev",
                [
                    (line.channel, line.seq, line.rev, line_json(line), line.thread)
                    for line in lines
                    if rows.get(line.channel) is not None
                ],
            )
        self._discarded.clear()
        self._expired.clear()
        self._rows |= {name: row for name, row in rows.items() if row is not None}
        lost = {name for name, row in rows.items() if row is None}
        for name in lost:
            self._rows.pop(name, None)
        return lost

    def _put(self, record: ChannelRecord) -> int | None:
        """Write a record in the open transaction; return its row, or None if it was reset."""
        assert self._file is not None
        db, name, epoch, text = self._file.db, record.name, record.epoch, channel_json(record)
        if (row := self._rows.get(name)) is not None:
            done = db.execute(
                "UPDATE channels SET epoch = ?, record = ? WHERE id = ? AND epoch IN ('', ?)",
                (epoch, text, row, epoch),
            )
            return row if done.rowcount else None
        # Another client may have stored lines of the same log, which are just as valid.
        stored = db.execute("SELECT id, epoch FROM channels WHERE name = ?", (name,)).fetchone()
        if stored is not None and not epoch:
            return int(stored[0])  # the stored record knows more
        if stored is None or stored[1] not in ("", epoch):
            db.execute("DELETE FROM lines WHERE channel = ?", (name,))
            db.execute("DELETE FROM channels WHERE name = ?", (name,))
            new = db.execute(
                "INSERT INTO channels (name, epoch, record) VALUES (?, ?, ?)", (name, epoch, text)
            )
            return new.lastrowid
        db.execute(
            "UPDATE channels SET epoch = ?, record = ? WHERE id = ?", (epoch, text, stored[0])
        )
        return int(stored[0])

    def discard(self, channel: str) -> None:
        """Hide a channel's lines; they are deleted at the next save."""
        self._expired.pop(channel, None)
        if self._rows.pop(channel, None) is not None:
            self._discarded.add(channel)

    def size(self) -> int:
        """Return the used bytes of the file."""
        if self._file is None:
            return 0
        pages, free, bytes_each = (
            self._file.rows(f"PRAGMA {name}")[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * bytes_each)

    def largest_channel(self) -> str | None:
        """Return the channel whose lines need the most space; None if there are no lines."""
        assert self._file is not None
        rows = self._file.rows(
            "SELECT channel FROM lines GROUP BY channel ORDER BY sum(length(body)) DESC LIMIT 1"
        )
        return rows[0][0] if rows else None
