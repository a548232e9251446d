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
from chat.protocol.limits import FOLDED_KINDS
from chat.store.database import FileLock, check_is_current
from chat.store.schema import BODY_FIELDS, ERASED, KIND_BITS, KINDS, REMOVE, channels, code_of
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


_KINDS = {kind: f"e.flags & {KIND_BITS} = {code}" for code, kind in enumerate(KINDS)}
_CHANGES = ", ".join(str(code_of(kind)) for kind in sorted(FOLDED_KINDS))
_TEXTS = ", ".join(str(code_of(kind)) for kind in BODY_FIELDS)
_IS_REMOVAL = f"e.flags & {REMOVE}"
_TARGET = "t.channel_id = e.channel_id AND t.seq = e.target AND t.target IS NULL"
_REACTIONS = """
    SELECT r.channel_id, r.target, r.user_id, e.text
    FROM reactions r LEFT JOIN events e
        ON e.channel_id = r.channel_id AND e.seq = r.since AND e.target = r.target"""
# Of one person's reactions with one emoji to one message, the last event says whether it is there.
_REACTIONS_TOLD = f"""
    SELECT e.channel_id, e.target, e.author_id AS user_id, e.text
    FROM events e
    WHERE e.target IS NOT NULL AND {_KINDS["react"]} AND NOT e.flags & {ERASED}
    GROUP BY e.channel_id, e.target, e.author_id, e.text
    HAVING max(CASE WHEN {_IS_REMOVAL} THEN 0 ELSE e.seq END)
         > max(CASE WHEN {_IS_REMOVAL} THEN e.seq ELSE 0 END)"""  # noqa: S608
_COUNTED = """
    SELECT r.channel_id, r.target, r.since, count(*) AS count
    FROM reactions r GROUP BY r.channel_id, r.target, r.since"""
_COUNTS = "SELECT n.channel_id, n.target, n.since, n.count FROM reaction_counts n"
_PINS = "SELECT p.channel_id, p.target FROM pins p"
_PINS_TOLD = f"""
    SELECT e.channel_id, e.target
    FROM events e JOIN events t ON {_TARGET}
    WHERE e.target IS NOT NULL AND {_KINDS["pin"]} AND NOT t.flags & {ERASED}
    GROUP BY e.channel_id, e.target
    HAVING max(CASE WHEN {_IS_REMOVAL} THEN 0 ELSE e.seq END)
         > max(CASE WHEN {_IS_REMOVAL} THEN e.seq ELSE 0 END)"""  # noqa: S608


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
        HAVING count(DISTINCT e.seq) <> c.head OR count(e.seq) <> c.head
            OR coalesce(min(e.seq), 1) <> 1 OR coalesce(max(e.seq), 0) <> c.head""",
    "the same mid belongs to several events": """
        SELECT min(c.name), min(e.seq) FROM events e JOIN channels c ON c.id = e.channel_id
        GROUP BY e.mid HAVING count(*) > 1""",
    "the same author used the same cid more than once": """
        SELECT min(c.name), min(e.seq) FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.cid IS NOT NULL GROUP BY e.cid, e.author_id HAVING count(*) > 1""",
    "the flags of the event are none": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.flags & {KIND_BITS} >= {len(KINDS)} OR e.flags NOT BETWEEN {256} AND {32_767}
            OR (e.target IS NULL) = (e.flags & {KIND_BITS} IN ({_CHANGES}))""",  # noqa: S608
    "a read marker lies outside of the log": """
        SELECT c.name, m.read_seq FROM members m JOIN channels c ON c.id = m.channel_id
        WHERE m.read_seq NOT BETWEEN 0 AND c.head OR m.joined_seq NOT BETWEEN 0 AND c.head""",
    "the count of members is not that of its members": """
        SELECT c.name, c.member_count FROM channels c
        WHERE c.member_count <> (SELECT count(*) FROM members m WHERE m.channel_id = c.id)""",
    "a member is listed under another name": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        JOIN users u ON u.id = m.user_id WHERE u.fold <> m.user_fold""",
    "the event has lost its text": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN folds f ON f.event_id = e.id
        WHERE e.flags & {KIND_BITS | ERASED} IN ({_TEXTS})
            AND f.edit_id IS NULL AND e.text IS NULL""",  # noqa: S608
    "the event is erased and still has a text": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN folds f ON f.event_id = e.id
        WHERE (e.flags & {ERASED} OR f.edit_id IS NOT NULL) AND trim(e.text, ' ') <> ''""",  # noqa: S608
    "the event is about a message that does not exist": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t ON {_TARGET}
        WHERE e.target IS NOT NULL
            AND (t.seq IS NULL OR t.flags & {KIND_BITS} <> {code_of("message")}
                OR t.seq >= e.seq)""",  # noqa: S608
    "the message answers one that does not exist": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t
            ON t.channel_id = e.channel_id AND t.seq = e.reply_to AND t.target IS NULL
        WHERE e.reply_to IS NOT NULL
            AND (t.seq IS NULL OR t.flags & {KIND_BITS} <> {code_of("message")}
                OR t.seq >= e.seq)""",  # noqa: S608
    "the message is not in the thread of what it answers": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t
            ON t.channel_id = e.channel_id AND t.seq = e.reply_to AND t.target IS NULL
        WHERE coalesce(e.thread, 0) <> coalesce(t.thread, t.seq, 0)""",
    "the message was deleted and is still there": f"""
        SELECT c.name, t.seq FROM events e JOIN channels c ON c.id = e.channel_id
        JOIN events t ON {_TARGET}
        WHERE e.target IS NOT NULL AND {_KINDS["delete"]} AND NOT t.flags & {ERASED}""",  # noqa: S608
    "the message does not have the text of its latest edit": f"""
        SELECT c.name, t.seq FROM folds f JOIN events t ON t.id = f.event_id
        JOIN channels c ON c.id = t.channel_id
        LEFT JOIN events e ON e.id = f.edit_id AND {_TARGET}
        WHERE NOT t.flags & {ERASED} AND coalesce(e.seq, 0) <> coalesce((
            SELECT max(l.seq) FROM events l WHERE l.channel_id = t.channel_id
                AND l.target = t.seq AND l.flags & {KIND_BITS} = {code_of("edit")}), 0)""",  # noqa: S608
    "the message does not know the latest event about it": """
        SELECT c.name, t.seq FROM channels c
        JOIN (SELECT channel_id, target, max(seq) AS latest FROM events
              WHERE target IS NOT NULL GROUP BY channel_id, target) a ON a.channel_id = c.id
        JOIN events t
            ON t.channel_id = a.channel_id AND t.seq = a.target AND t.target IS NULL
        LEFT JOIN folds f ON f.event_id = t.id
        WHERE coalesce(f.rev, 0) <> a.latest""",
    "a mention is of an event that does not exist": """
        SELECT c.name, m.seq FROM mentions m JOIN channels c ON c.id = m.channel_id
        WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.channel_id = m.channel_id
                AND e.seq = m.seq AND e.target IS NULL)
            AND NOT EXISTS (SELECT 1 FROM events e WHERE e.channel_id = m.channel_id
                AND e.seq = m.seq AND e.target IS NOT NULL)""",
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
