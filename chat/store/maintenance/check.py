"""Check the consistency of logs and accounts, and rebuild the full-text index.

A check reads one snapshot, so the server may be running. Each rule is a statement that selects its
violations; the database sorts on disk, so the use of memory does not grow with the logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.protocol.limits import FOLDED_KINDS
from chat.store.backend import Damaged, Database, backend_of
from chat.store.details import DETAILED_KINDS
from chat.store.schema import (
    BODY_FIELDS,
    ERASED,
    KIND_BITS,
    KINDS,
    REMOVE,
    THREAD_ONLY,
    channels,
    code_of,
)
from chat.text import counted

__all__ = [
    "Holdings",
    "check_database",
    "check_opened",
    "holdings",
    "problems",
    "reindex",
]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The number of channels and events in a database."""

    channels: int
    events: int

    def __str__(self) -> str:
        return f"{counted(self.channels, 'channel')}, {counted(self.events, 'event')}"


_KINDS = {kind: f"e.flags & {KIND_BITS} = {code}" for code, kind in enumerate(KINDS)}
_CHANGES = ", ".join(str(code_of(kind)) for kind in sorted(FOLDED_KINDS))
_DETAILED = ", ".join(str(code_of(kind)) for kind in sorted(DETAILED_KINDS))
_TEXTS = ", ".join(str(code_of(kind)) for kind in BODY_FIELDS)
_IS_REMOVAL = f"e.flags & {REMOVE} <> 0"
_TARGET = "t.channel_id = e.channel_id AND t.seq = e.target AND t.target IS NULL"
_REACTIONS = """
    SELECT r.channel_id, r.target, r.user_id, e.text
    FROM reactions r LEFT JOIN events e
        ON e.channel_id = r.channel_id AND e.seq = r.since AND e.target = r.target"""
# The last event of a user, an emoji and a message determines whether the reaction exists.
# The values put into this and the following SQL are constants: codes of kinds, and other queries.
_REACTIONS_OF_EVENTS = f"""
    SELECT e.channel_id, e.target, e.author_id AS user_id, e.text
    FROM events e
    WHERE e.target IS NOT NULL AND {_KINDS["react"]} AND e.flags & {ERASED} = 0
    GROUP BY e.channel_id, e.target, e.author_id, e.text
    HAVING max(CASE WHEN {_IS_REMOVAL} THEN 0 ELSE e.seq END)
         > max(CASE WHEN {_IS_REMOVAL} THEN e.seq ELSE 0 END)"""  # noqa: S608
_COUNTED = """
    SELECT r.channel_id, r.target, r.since, count(*) AS count
    FROM reactions r GROUP BY r.channel_id, r.target, r.since"""
_COUNTS = "SELECT n.channel_id, n.target, n.since, n.count FROM reaction_counts n"
_PINS = "SELECT p.channel_id, p.target FROM pins p"
_PINS_OF_EVENTS = f"""
    SELECT e.channel_id, e.target
    FROM events e JOIN events t ON {_TARGET}
    WHERE e.target IS NOT NULL AND {_KINDS["pin"]} AND t.flags & {ERASED} = 0
    GROUP BY e.channel_id, e.target
    HAVING max(CASE WHEN {_IS_REMOVAL} THEN 0 ELSE e.seq END)
         > max(CASE WHEN {_IS_REMOVAL} THEN e.seq ELSE 0 END)"""  # noqa: S608


def _without(some: str, others: str) -> str:
    """Return a query for the rows of `some` that are not in `others`."""
    # SQL has no parameters for queries. Both are constants of this module, not input.
    return f"""
        SELECT c.name, a.target FROM ({some} EXCEPT {others}) a
        JOIN channels c ON c.id = a.channel_id"""  # noqa: S608


# Each query selects violations: the channel's name and the seq of a faulty event, or the name of
# something else and its id.
_RULES = {
    "the log does not hold each seq from 1 to its head exactly once": """
        SELECT c.name, c.head FROM channels c LEFT JOIN events e ON e.channel_id = c.id
        GROUP BY c.id, c.name, c.head
        HAVING count(DISTINCT e.seq) <> c.head OR count(e.seq) <> c.head
            OR coalesce(min(e.seq), 1) <> 1 OR coalesce(max(e.seq), 0) <> c.head""",
    "several events have the same mid": """
        SELECT min(c.name), min(e.seq) FROM events e JOIN channels c ON c.id = e.channel_id
        GROUP BY e.mid HAVING count(*) > 1""",
    "several events of the same author have the same cid": """
        SELECT min(c.name), min(e.seq) FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.cid IS NOT NULL GROUP BY e.cid, e.author_id HAVING count(*) > 1""",
    "the event has invalid flags": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.flags & {KIND_BITS} >= {len(KINDS)} OR e.flags NOT BETWEEN {256} AND {32_767}
            OR (e.target IS NULL) = (e.flags & {KIND_BITS} IN ({_CHANGES}))""",  # noqa: S608
    "a read marker is outside the log": """
        SELECT c.name, m.read_seq FROM members m JOIN channels c ON c.id = m.channel_id
        WHERE m.read_seq NOT BETWEEN 0 AND c.head OR m.joined_seq NOT BETWEEN 0 AND c.head""",
    "the stored member count is wrong": """
        SELECT c.name, c.member_count FROM channels c
        WHERE c.member_count <> (SELECT count(*) FROM members m WHERE m.channel_id = c.id)""",
    "a member is listed under a wrong name": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        JOIN users u ON u.id = m.user_id WHERE u.fold <> m.user_fold""",
    "the text of the event is missing": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN folds f ON f.event_id = e.id
        WHERE e.flags & {KIND_BITS | ERASED} IN ({_TEXTS})
            AND f.edit_id IS NULL AND e.text IS NULL""",  # noqa: S608
    "the event is erased but still has text": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN folds f ON f.event_id = e.id
        WHERE (e.flags & {ERASED} <> 0 OR f.edit_id IS NOT NULL) AND trim(e.text, ' ') <> ''""",  # noqa: S608
    "the event changes a message that does not exist": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t ON {_TARGET}
        WHERE e.target IS NOT NULL
            AND (t.seq IS NULL OR t.flags & {KIND_BITS} <> {code_of("message")}
                OR t.seq >= e.seq)""",  # noqa: S608
    "the message replies to a message that does not exist": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t
            ON t.channel_id = e.channel_id AND t.seq = e.reply_to AND t.target IS NULL
        WHERE e.reply_to IS NOT NULL
            AND (t.seq IS NULL OR t.flags & {KIND_BITS} <> {code_of("message")}
                OR t.seq >= e.seq)""",  # noqa: S608
    "the message is not in the thread of the message it replies to": """
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        LEFT JOIN events t
            ON t.channel_id = e.channel_id AND t.seq = e.reply_to AND t.target IS NULL
        WHERE coalesce(e.thread, 0) <> coalesce(t.thread, t.seq, 0)""",
    "the event is expired but still has text": f"""
        SELECT c.name, e.seq FROM channels c JOIN events e ON e.channel_id = c.id
        WHERE coalesce(e.target, e.seq) <= c.expired AND trim(coalesce(e.text, ''), ' ') <> ''
            AND (e.flags & {KIND_BITS} IN ({_TEXTS})
                OR e.flags & {KIND_BITS} IN ({_DETAILED}) AND e.text LIKE '%"reason":%')""",  # noqa: S608
    "the seq up to which texts are expired is outside the log": """
        SELECT name, expired FROM channels WHERE expired NOT BETWEEN 0 AND head""",
    "the event is only in a thread but is no reply": f"""
        SELECT c.name, e.seq FROM events e JOIN channels c ON c.id = e.channel_id
        WHERE e.flags & {THREAD_ONLY} <> 0
            AND (e.thread IS NULL OR e.flags & {KIND_BITS} <> {code_of("message")})""",  # noqa: S608
    "a followed thread does not begin with a message": f"""
        SELECT c.name, f.thread FROM followed_threads f JOIN channels c ON c.id = f.channel_id
        LEFT JOIN events t
            ON t.channel_id = f.channel_id AND t.seq = f.thread AND t.target IS NULL
        WHERE t.seq IS NULL OR t.thread IS NOT NULL
            OR t.flags & {KIND_BITS} <> {code_of("message")}""",  # noqa: S608
    "the read marker of a thread is outside the log": """
        SELECT c.name, f.thread FROM followed_threads f JOIN channels c ON c.id = f.channel_id
        WHERE f.read_seq NOT BETWEEN 0 AND c.head""",
    "the role of a member is unknown": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        WHERE m.role NOT IN ('owner', 'moderator', 'member')""",
    "the channel has several owners": """
        SELECT c.name, count(*) FROM members m JOIN channels c ON c.id = m.channel_id
        WHERE m.role = 'owner' AND c.fold <> '#general' GROUP BY c.id HAVING count(*) > 1""",
    "the deleted channel has members": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        WHERE c.deleted IS NOT NULL""",
    "a banned user is a member": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        JOIN channel_bans b ON b.channel_id = m.channel_id AND b.user_id = m.user_id
        WHERE b.until IS NULL""",
    "a member is invited": """
        SELECT c.name, m.user_id FROM members m JOIN channels c ON c.id = m.channel_id
        JOIN channel_invitations i ON i.channel_id = m.channel_id AND i.user_id = m.user_id""",
    "the message was deleted but is not erased": f"""
        SELECT c.name, t.seq FROM events e JOIN channels c ON c.id = e.channel_id
        JOIN events t ON {_TARGET}
        WHERE e.target IS NOT NULL AND {_KINDS["delete"]} AND t.flags & {ERASED} = 0""",  # noqa: S608
    "the message does not have the text of its latest edit": f"""
        SELECT c.name, t.seq FROM folds f JOIN events t ON t.id = f.event_id
        JOIN channels c ON c.id = t.channel_id
        LEFT JOIN events e ON e.id = f.edit_id AND {_TARGET}
        WHERE t.flags & {ERASED} = 0 AND coalesce(e.seq, 0) <> coalesce((
            SELECT max(l.seq) FROM events l WHERE l.channel_id = t.channel_id
                AND l.target = t.seq AND l.flags & {KIND_BITS} = {code_of("edit")}), 0)""",  # noqa: S608
    "the message does not refer to the latest event that changes it": """
        SELECT c.name, t.seq FROM channels c
        JOIN (SELECT channel_id, target, max(seq) AS latest FROM events
              WHERE target IS NOT NULL GROUP BY channel_id, target) a ON a.channel_id = c.id
        JOIN events t
            ON t.channel_id = a.channel_id AND t.seq = a.target AND t.target IS NULL
        LEFT JOIN folds f ON f.event_id = t.id
        WHERE coalesce(f.rev, 0) <> a.latest""",
    "a mention belongs to an event that does not exist": """
        SELECT c.name, m.seq FROM mentions m JOIN channels c ON c.id = m.channel_id
        WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.channel_id = m.channel_id
                AND e.seq = m.seq AND e.target IS NULL)
            AND NOT EXISTS (SELECT 1 FROM events e WHERE e.channel_id = m.channel_id
                AND e.seq = m.seq AND e.target IS NOT NULL)""",
    "a stored reaction does not follow from the events": _without(_REACTIONS, _REACTIONS_OF_EVENTS),
    "a reaction that follows from the events is missing": _without(
        _REACTIONS_OF_EVENTS, _REACTIONS
    ),
    "the stored count of a reaction is wrong": _without(_COUNTS, _COUNTED),
    "the count of a reaction is missing": _without(_COUNTED, _COUNTS),
    "a stored pin does not follow from the events": _without(_PINS, _PINS_OF_EVENTS),
    "a pin that follows from the events is missing": _without(_PINS_OF_EVENTS, _PINS),
    "the audit log does not hold each seq from 1 exactly once": """
        SELECT 'audit', count(*) FROM audit
        HAVING count(*) <> coalesce(max(seq), 0) OR coalesce(min(seq), 1) <> 1""",
    "the role of the account is unknown": """
        SELECT name, id FROM users WHERE role NOT IN ('admin', 'member', 'bot')""",
    "the erased account can still sign in": """
        SELECT u.name, u.id FROM users u WHERE u.is_erased AND (
            EXISTS (SELECT 1 FROM devices d WHERE d.user_id = u.id AND d.revoked IS NULL)
            OR EXISTS (SELECT 1 FROM passwords p WHERE p.user_id = u.id)
            OR EXISTS (SELECT 1 FROM links l WHERE l.user_id = u.id))""",
    "the bot has a password": """
        SELECT u.name, u.id FROM users u JOIN passwords p ON p.user_id = u.id
        WHERE u.role = 'bot'""",
    "an invitation was used more often than it allows": """
        SELECT 'invitation', i.id FROM invitations i
        WHERE i.uses < (SELECT count(*) FROM invitation_uses u WHERE u.invitation_id = i.id)""",
    "several invitations created the same account": """
        SELECT min(u.name), min(u.id) FROM invitation_uses i JOIN users u ON u.id = i.user_id
        GROUP BY i.user_id HAVING count(*) > 1""",
    "a ban does not cover exactly one account or network": """
        SELECT 'ban', id FROM bans WHERE (user_id IS NULL) = (network IS NULL)""",
}
_REINDEX = "stop the server and run chat-server reindex"


def check_database(url: str) -> Iterator[str | Holdings]:
    """Check a database; yield each problem as a line, then the holdings.

    A server may be running.

    Raises:
        StartupError: the database does not exist or cannot be read.
    """
    try:
        database = backend_of(url).open_shared(url)
    except Damaged as exc:
        yield str(exc)
        return
    with closing(database):
        yield from check_opened(database)


def check_opened(database: Database) -> Iterator[str | Holdings]:
    """Check a database of this version; yield each problem as a line, then the holdings.

    Raises:
        StartupError: the database cannot be read.
    """
    try:
        with database.checker.begin() as connection:
            yield from problems(connection, database)
            yield holdings(connection)
    except DBAPIError as exc:
        reason = database.reason_of(exc)
        raise StartupError(f"{database.name} cannot be read: {reason}") from None


def problems(connection: Connection, database: Database) -> Iterator[str]:
    """Check the snapshot of `connection`; yield a line for each problem."""
    if found := database.damages(connection):
        yield from found
    for rule, statement in _RULES.items():
        rows = connection.execute(text(statement))
        if (first := rows.fetchone()) is not None:
            more = sum(len(part) for part in rows.partitions(1_000))
            yield _violation(rule, first[0], first[1], more)
    yield from _index_problems(connection, database)


def _index_problems(connection: Connection, database: Database) -> Iterator[str]:
    try:
        wrong = database.wrongly_indexed(connection)
    except DBAPIError as exc:
        yield f"the full-text index cannot be read ({database.reason_of(exc)}); {_REINDEX}"
        return
    names = dict(connection.execute(select(channels.c.id, channels.c.name)).all())
    for channel in sorted(wrong):
        name = names.get(channel, "a channel that does not exist")
        yield f"{name}: the full-text index does not agree with the log; {_REINDEX}"


def reindex(url: str) -> Holdings:
    """Rebuild the full-text index in one transaction.

    Raises:
        StartupError: a server uses the database and must be stopped first, or the database is not
            writable; nothing was changed.
    """
    backend = backend_of(url)
    backend.reindex(url)
    with closing(backend.open_shared(url)) as database, database.readers.begin() as connection:
        return holdings(connection)


def holdings(connection: Connection) -> Holdings:
    """Count the channels that are not deleted, and their events."""
    count, heads = connection.execute(
        select(func.count(), func.coalesce(func.sum(channels.c.head), 0)).where(
            channels.c.deleted.is_(None)
        )
    ).one()
    return Holdings(count, heads)


def _violation(rule: str, name: str, number: int, more: int) -> str:
    others = f" (and {more} more)" if more else ""
    return f"{name}, {number}: {rule}{others}"
