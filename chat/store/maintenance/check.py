"""Check that all logs are whole, and rebuild a full-text index that is not.

Everything is read in one snapshot, so that a running server may go on. Each rule is one statement
that finds what breaks it; what has to be sorted for that lies on the disk, so memory stays small
however long the logs are.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.store.database import FileLock, check_is_current
from chat.store.schema import channels
from chat.store.sqlite import engine as sqlite
from chat.store.sqlite import fts5

__all__ = ["Holdings", "check_database", "holdings", "problems", "reindex", "wrongly_indexed"]


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much a database holds."""

    channels: int
    events: int

    def __str__(self) -> str:
        return f"{self.channels:,} channels, {self.events:,} events"


_REACTIONS = """
    SELECT r.channel_id, r.target, r.user_id, b.text
    FROM reactions r LEFT JOIN bodies b ON b.id = r.body_id"""
# Of one person's reactions with one emoji to one message, the last event says whether it is there.
_REACTIONS_TOLD = """
    SELECT e.channel_id, e.target, e.author_id AS user_id, b.text
    FROM events e JOIN bodies b ON b.id = e.body_id
    WHERE e.kind = 'react' AND NOT e.erased
    GROUP BY e.channel_id, e.target, e.author_id, b.text
    HAVING max(CASE WHEN e.remove THEN 0 ELSE e.seq END)
         > max(CASE WHEN e.remove THEN e.seq ELSE 0 END)"""
_COUNTED = """
    SELECT r.channel_id, r.target, r.since, count(*) AS count
    FROM reactions r GROUP BY r.channel_id, r.target, r.since"""
_COUNTS = "SELECT n.channel_id, n.target, n.since, n.count FROM reaction_counts n"
_PINS = "SELECT p.channel_id, p.target FROM pins p"
_PINS_TOLD = """
    SELECT e.channel_id, e.target
    FROM events e JOIN events t ON t.channel_id = e.channel_id AND t.seq = e.target
    WHERE e.kind = 'pin' AND NOT t.erased
    GROUP BY e.channel_id, e.target
    HAVING max(CASE WHEN e.remove THEN 0 ELSE e.seq END)
         > max(CASE WHEN e.remove THEN e.seq ELSE 0 END)"""


def _without(some: str, others: str) -> str:
    """Return what finds in the one query's rows those that the other lacks."""
    # SQL has no parameter for a whole query. Both are constants of this module: no input.
    return f"""
        SELECT c.name, a.target FROM ({some} EXCEPT {others}) a
        JOIN channels c ON c.id = a.channel_id"""  # noqa: S608


# Each finds rows that must not be: the log's name, and the number of an event that is at fault.
_RULES = {
    "the log does not hold 1 to its head, each number once": """
        SELECT c.name, c.head FROM channels c LEFT JOIN events e ON e.channel_id = c.id
        GROUP BY c.id, c.name, c.head
        HAVING count(e.seq) <> c.head OR coalesce(min(e.seq), 1) <> 1
            OR coalesce(max(e.seq), 0) <> c.head""",
    "the same mid belongs to several events": """
        SELECT min(c.name), min(e.seq) FROM events e JOIN channels c ON c.id = e.channel_id
        GROUP BY e.mid HAVING count(*) > 1""",
    "the same author used the same cid more than once": """
        SELECT min(c.name), min(e.seq) FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.send_key IS NOT NULL GROUP BY e.send_key HAVING count(*) > 1""",
    "the cid belongs to somebody who is not the author": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE substr(e.send_key, 1, length(CAST(e.author_id AS TEXT)) + 1)
            <> CAST(e.author_id AS TEXT) || '/'""",
    "a read marker lies outside of the log": """
        SELECT c.name, m.read_seq FROM members m JOIN channels c ON c.id = m.channel_id
        WHERE m.read_seq NOT BETWEEN 0 AND c.head OR m.joined_seq NOT BETWEEN 0 AND c.head""",
    "the count of members is not that of its members": """
        SELECT c.name, c.member_count FROM channels c
        WHERE c.member_count <> (SELECT count(*) FROM members m WHERE m.channel_id = c.id)""",
    "a member is listed under another name": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        JOIN users u ON u.id = m.user_id WHERE u.fold <> m.user_fold""",
    "the event has lost its text": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN bodies b ON b.id = e.body_id
        WHERE e.kind IN ('message', 'edit', 'react', 'topic') AND NOT e.erased AND b.id IS NULL""",
    "the event is erased and still has a text": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.erased AND e.body_id IS NOT NULL""",
    "the event is about a message that does not exist": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t ON t.channel_id = e.channel_id AND t.seq = e.target
        WHERE e.kind IN ('edit', 'delete', 'react', 'pin')
            AND (t.seq IS NULL OR t.kind <> 'message' OR t.seq >= e.seq)""",
    "the message answers one that does not exist": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t ON t.channel_id = e.channel_id AND t.seq = e.reply_to
        WHERE e.reply_to IS NOT NULL
            AND (t.seq IS NULL OR t.kind <> 'message' OR t.seq >= e.seq)""",
    "the message is not in the thread of what it answers": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t ON t.channel_id = e.channel_id AND t.seq = e.reply_to
        WHERE coalesce(e.thread, 0) <> coalesce(t.thread, t.seq, 0)""",
    "the message was deleted and is still there": """
        SELECT c.name, t.seq FROM events e JOIN channels c ON c.id = e.channel_id
        JOIN events t ON t.channel_id = e.channel_id AND t.seq = e.target
        WHERE e.kind = 'delete' AND NOT t.erased""",
    "the message does not have the text of its latest edit": """
        SELECT c.name, t.seq FROM events t JOIN channels c ON c.id = t.channel_id
        LEFT JOIN events e ON e.channel_id = t.channel_id AND e.seq = t.last_edit
        WHERE t.last_edit IS NOT NULL AND NOT t.erased
            AND (e.seq IS NULL OR e.kind <> 'edit' OR e.target <> t.seq
                OR e.body_id <> t.body_id)""",
    "the message does not know the latest event about it": """
        SELECT c.name, t.seq FROM channels c
        JOIN (SELECT channel_id, target, max(seq) AS latest FROM events
              WHERE target IS NOT NULL AND kind IN ('edit', 'delete', 'react', 'pin')
              GROUP BY channel_id, target) a ON a.channel_id = c.id
        JOIN events t ON t.channel_id = a.channel_id AND t.seq = a.target
        WHERE t.rev <> a.latest""",
    "a mention is of an event that does not exist": """
        SELECT c.name, m.seq FROM mentions m JOIN channels c ON c.id = m.channel_id
        LEFT JOIN events e ON e.channel_id = m.channel_id AND e.seq = m.seq
        WHERE e.seq IS NULL""",
    "a reaction is there that its events do not lead to": _without(_REACTIONS, _REACTIONS_TOLD),
    "a reaction is missing that its events lead to": _without(_REACTIONS_TOLD, _REACTIONS),
    "the count of a reaction is not that of its people": _without(_COUNTS, _COUNTED),
    "a reaction is not counted": _without(_COUNTED, _COUNTS),
    "a pin is there that its events do not lead to": _without(_PINS, _PINS_TOLD),
    "a pin is missing that its events lead to": _without(_PINS_TOLD, _PINS),
}
_REINDEX = "stop the server and run chat-server reindex"
_WORDS = "SELECT term, doc, col, offset FROM search_words"
_SUM = (1 << 63) - 1


def check_database(url: str) -> Iterator[str | Holdings]:
    """Look at a whole database, beside a server or not: problems, a line each, then its holdings.

    Raises:
        StartupError: there is none, or it cannot be looked at.
    """
    path = sqlite.path_of(url)
    try:
        check_is_current(path)
    except sqlite.Damaged as exc:
        yield str(exc)
        return
    engine = sqlite.checker_engine(path)
    try:
        with engine.begin() as connection:
            yield from problems(connection)
            yield holdings(connection)
    except DBAPIError as exc:
        raise StartupError(f"{path} cannot be read: {sqlite.reason_of(exc)}") from None
    finally:
        engine.dispose()


def problems(connection: Connection) -> Iterator[str]:
    """Look at everything in the snapshot of `connection`; return a line for each problem."""
    if found := sqlite.damages(connection):
        yield from found
    for rule, statement in _RULES.items():
        rows = connection.execute(text(statement))
        if (first := rows.fetchone()) is not None:
            more = sum(len(part) for part in rows.partitions(1_000))
            yield _told(rule, first[0], first[1], more)
    yield from _index_problems(connection)


def _index_problems(connection: Connection) -> Iterator[str]:
    try:
        wrong = wrongly_indexed(connection)
    except DBAPIError as exc:
        yield f"the full-text index cannot be read ({sqlite.reason_of(exc)}); {_REINDEX}"
        return
    names = dict(connection.execute(select(channels.c.id, channels.c.name)).all())
    for channel in sorted(wrong):
        name = names.get(channel, "a channel that does not exist")
        yield f"{name}: the full-text index does not agree with the log; {_REINDEX}"


def wrongly_indexed(connection: Connection) -> set[int]:
    """Return the ids of channels whose messages are indexed otherwise than they are written.

    As far as the index reaches; an index that is to be built again is not wrong.
    """
    if fts5.place(connection) is None or not fts5.is_current(connection):
        return set()
    indexed: Counter[int] = Counter()
    _sum_up(indexed, connection.exec_driver_sql(_WORDS))
    written: Counter[int] = Counter()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for statement in fts5.CREATE:
            memory.execute(statement).close()
        for entries in fts5.entries(connection):
            memory.executemany(fts5.ADD, sorted(entries)).close()
            _sum_up(written, memory.execute(_WORDS))
            memory.execute("INSERT INTO search (search) VALUES ('delete-all')").close()
    return {each for each in indexed | written if indexed[each] != written[each]}


def _sum_up(sums: Counter[int], words: Iterable[Sequence[Any]]) -> None:
    """Add a number for each word at its place; few sums stand for any number of words."""
    for word in words:
        sums[word[1] >> fts5.SEQ_BITS] += hash(tuple(word)) & _SUM


def reindex(url: str) -> Holdings:
    """Rebuild the full-text index from the logs, in one transaction; no server may run meanwhile.

    Raises:
        StartupError: a server uses the database, or it cannot be written; then nothing was changed.
    """
    path = sqlite.path_of(url)
    check_is_current(path)
    sqlite.check_is_writable(path)
    lock = FileLock.take(path)
    writer = sqlite.writer_engine(path)
    try:
        with writer.begin() as connection:
            fts5.reset(connection)
            while not fts5.index_next(connection):
                pass
            held = holdings(connection)
        with writer.connect() as connection:
            sqlite.truncate_wal(connection)  # what was in the former index leaves the disk
    except DBAPIError as exc:
        raise StartupError(f"{path} was not indexed: {sqlite.reason_of(exc)}") from None
    finally:
        writer.dispose()
        lock.release()
    return held


def holdings(connection: Connection) -> Holdings:
    """Count what the snapshot of `connection` holds."""
    count, heads = connection.execute(
        select(func.count(), func.coalesce(func.sum(channels.c.head), 0)).select_from(channels)
    ).one()
    return Holdings(count, heads)


def _told(rule: str, channel: str, number: int, more: int) -> str:
    others = f" (and {more} more)" if more else ""
    return f"{channel}, {number}: {rule}{others}"
