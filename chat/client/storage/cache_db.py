"""`cache.db`: messages, and how far each channel was read; the server has all of it.

Lines are committed together with the positions and the coverage that vouch for them. A file that is
damaged is deleted, and reading begins from nothing.

Two clients of one person may share the file. Lines are only ever replaced by newer ones, so each
client's record of a channel is true of what both have stored, and the later writer's stands. Who
throws the lines of a channel away deletes its row: a client that knew the row is told so when it
saves next, and begins that channel anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chat.client.model.records import ChannelRecord, Damaged
from chat.client.model.state import Message
from chat.client.storage.codec import channel_from, channel_json, line_from, line_json
from chat.client.storage.database import BUSY, Database, Tables
from chat.errors import StartupError
from chat.text import fold

__all__ = ["CACHE_TABLES", "CHANNELS", "CacheDb"]

CHANNELS = """
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    record TEXT NOT NULL
)"""
CACHE_TABLES = Tables(
    3,  # the first two versions held everything in one file, see `old_files`
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


class CacheDb:
    """The cache of one account; the file is made when there is something to write.

    Lines are found only of channels that this client has read from the file or saved.

    Args and errors are those of `Database`; what another version wrote is `Damaged`.
    """

    def __init__(self, path: Path, *, patience: float = BUSY, unwritable: str = "") -> None:
        self.path = path
        self._patience = patience
        self.unwritable = unwritable
        self._rows: dict[str, int] = {}
        """The row of each channel that this client knows."""
        self._discarded: set[str] = set()
        """Channels whose lines are to go when something is saved."""
        is_there = unwritable or path.exists() or path.is_symlink()
        self._file = self._open() if is_there else None

    def _open(self) -> Database:
        try:
            return Database(
                self.path, CACHE_TABLES, patience=self._patience, unwritable=self.unwritable
            )
        except StartupError as exc:
            raise Damaged(str(exc)) from exc

    @property
    def is_there(self) -> bool:
        """Whether the open file still bears its name: nobody has deleted it."""
        return self._file is not None and self._file.is_there

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def channels(self) -> list[ChannelRecord]:
        """Return all channels; from now on their lines are found."""
        if self._file is None:
            return []
        with self._file.reading():
            found = []
            for row, text in self._file.rows("SELECT id, record FROM channels"):
                channel = channel_from(text)
                if channel.name.startswith(("#", "@")):  # older clients kept whatever name came
                    found.append(channel)
                    self._rows[channel.name] = row
            return found

    def line(self, channel: str, seq: int) -> Message | None:
        """Return one line."""
        found = self._lines(channel, "seq = ?", seq)
        return found[0] if found else None

    def lines_before(self, channel: str, before: int, lowest: int, limit: int) -> list[Message]:
        """Return the last `limit` lines from `lowest` up to but without `before`, in order."""
        clause = "seq >= ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        return self._lines(channel, clause, lowest, before, limit)[::-1]

    def lines_with(self, channel: str, seqs: range, raw: tuple[str, str]) -> list[Message]:
        """Return the lines with a number of `seqs` whose JSON holds one of `raw`, in order.

        `raw` is looked for without regard to the capitals of ASCII, and may not hold `%` or `_`.
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
            return [line_from(body) for (body,) in self._file.rows(query, channel, *values)]

    def count_above(
        self, channel: str, seq: int, me: str, limit: int, last: int = 2**62
    ) -> tuple[int, int]:
        """Return how many messages of others there are above `seq`, and mentions of `me`.

        Lines above `last` are not counted: another client may have stored more than this one knows.
        """
        unread = mentions = 0
        for line in self.lines_before(channel, last + 1, seq + 1, limit):
            if line.kind == "message" and not line.deleted and fold(line.author) != fold(me):
                unread += 1
                mentions += any(fold(name) == fold(me) for name in line.mentions)
        return unread, mentions

    @property
    def has_discarded(self) -> bool:
        """Whether lines are to go when something is saved."""
        return bool(self._discarded)

    def save(self, lines: Iterable[Message], channels: Iterable[ChannelRecord]) -> set[str]:
        """Write lines and positions: all of it, or nothing.

        Returns:
            Channels that another client began anew: nothing of them was written.
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
        self._rows |= {name: row for name, row in rows.items() if row is not None}
        lost = {name for name, row in rows.items() if row is None}
        for name in lost:
            self._rows.pop(name, None)
        return lost

    def _put(self, record: ChannelRecord) -> int | None:
        """Write a record within a transaction; return its row, None if another began it anew."""
        assert self._file is not None
        db, name, epoch, text = self._file.db, record.name, record.epoch, channel_json(record)
        if (row := self._rows.get(name)) is not None:
            done = db.execute(
                "UPDATE channels SET epoch = ?, record = ? WHERE id = ? AND epoch IN ('', ?)",
                (epoch, text, row, epoch),
            )
            return row if done.rowcount else None
        # Another client may have stored lines of the same log, which are as good as one's own.
        stored = db.execute("SELECT id, epoch FROM channels WHERE name = ?", (name,)).fetchone()
        if stored is not None and not epoch:
            return int(stored[0])  # what this client knows is not more
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
        """Find no line of the channel from now on; all of it goes when something is saved."""
        if self._rows.pop(channel, None) is not None:
            self._discarded.add(channel)

    def size(self) -> int:
        """Return the bytes of the file that are in use."""
        if self._file is None:
            return 0
        pages, free, bytes_each = (
            self._file.rows(f"PRAGMA {name}")[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * bytes_each)

    def largest_channel(self) -> str | None:
        """Return the channel whose lines take the most room; None if there are no lines."""
        assert self._file is not None
        rows = self._file.rows(
            "SELECT channel FROM lines GROUP BY channel ORDER BY sum(length(body)) DESC LIMIT 1"
        )
        return rows[0][0] if rows else None
