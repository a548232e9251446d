"""The word index: the words of each message as an array, under GIN.

A message is indexed in the transaction that stores it. Prefixes are words of their own. Each query
has the word of a window (see `words`), so that GIN reads the other lists only within it, and the
messages of other channels do not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, bindparam, func, select, text

from chat.store.postgresql.bulk import Unnested
from chat.store.schema import events, folds, is_line, is_unerased
from chat.store.sql import Prepared, run_many
from chat.store.words import PREFIXES, Word, window_trait, words_of

__all__ = ["IndexChanges", "Lookup", "rebuild", "terms_of_message", "wrongly_indexed"]

_PREFIX = "·p"
"""Begins an indexed prefix: a trait, which no word of a text equals."""
WORD_MAX = 500
"""Characters of a word that are indexed: GIN refuses more than 2,712 bytes."""
BATCH = 1_000
"""Messages that are read at once."""
_SUM = (1 << 63) - 1
_edit = events.alias("edit")
_ADD = Unnested(
    "INSERT INTO search (channel_id, seq, words)",
    ("bigint", "bigint", "text"),
    "ON CONFLICT (channel_id, seq) DO UPDATE SET words = excluded.words",
    "channel_id, seq, string_to_array(words, ' ')",
    "(channel_id, seq, words)",
)
_REMOVE = "DELETE FROM search WHERE channel_id = %s AND seq = %s"
# Materialized: the planner would scan the channel backwards, which is slow for a rare word.
_SEQS = Prepared(
    text(
        "WITH found AS MATERIALIZED (SELECT channel_id, seq FROM search"
        " WHERE words @> string_to_array(:words, ' '))"
        " SELECT seq FROM found WHERE channel_id = :channel AND seq BETWEEN :low AND :high"
        " ORDER BY seq DESC LIMIT :count"
    )
)


_TEXTS = Prepared(
    select(
        events.c.id,
        events.c.channel_id,
        events.c.seq,
        events.c.author_id,
        func.coalesce(_edit.c.text, events.c.text),
    )
    .outerjoin_from(events, folds, folds.c.event_id == events.c.id)
    .outerjoin(_edit, _edit.c.id == folds.c.edit_id)
    .where(is_line, is_unerased("message"), events.c.id > bindparam("after"))
    .order_by(events.c.id)
    .limit(BATCH)
)
_INDEXED = text("SELECT channel_id, seq, words FROM search")
_CLEAR = Prepared(text("DELETE FROM search"))


def rebuild(connection: Connection) -> None:
    """Index all messages anew, in the transaction of `connection`."""
    _CLEAR.run(connection)
    for batch in _batches(connection):
        _ADD.run(connection, [(*key, terms) for key, terms in batch])


def wrongly_indexed(connection: Connection) -> set[int]:
    """Return the ids of channels whose entries do not match their messages."""
    indexed: Counter[int] = Counter()
    for rows in connection.execution_options(yield_per=BATCH).execute(_INDEXED).partitions():
        for channel_id, seq, words in rows:
            indexed[channel_id] += _sum(seq, words)
    written: Counter[int] = Counter()
    for batch in _batches(connection):
        for (channel_id, seq), terms in batch:
            written[channel_id] += _sum(seq, terms.split(" "))
    return {each for each in indexed | written if indexed[each] != written[each]}


def _sum(seq: int, words: Sequence[str]) -> int:
    return hash((seq, frozenset(words))) & _SUM


def _batches(connection: Connection) -> Iterator[list[tuple[tuple[int, int], str]]]:
    """Yield channel and seq of all messages with their terms."""
    after = 0
    while rows := _TEXTS.all(connection, after=after):
        yield [(tuple(row[1:3]), terms_of_message(*row[1:])) for row in rows]
        after = rows[-1][0]


def terms_of_message(channel_id: int, seq: int, author_id: int, body: str) -> str:
    """Return the words of a message and their indexed prefixes, separated by blanks."""
    every = words_of(channel_id, seq, author_id, body).split(" ")
    words = dict.fromkeys(word[:WORD_MAX] for word in every)
    prefixes = dict.fromkeys(
        f"{_PREFIX}{word[:length]}" for word in words for length in PREFIXES if len(word) >= length
    )
    return " ".join((*words, *prefixes))


class IndexChanges:
    """See `backend.IndexChanges`."""

    def __init__(self) -> None:
        self._terms: dict[tuple[int, int], str | None] = {}
        """The new terms of messages by channel and seq; None: the message is removed."""

    def add(self, channel_id: int, seq: int, author_id: int, body: str) -> None:
        """See `backend.IndexChanges`."""
        self._terms[channel_id, seq] = terms_of_message(channel_id, seq, author_id, body)

    def remove(
        self, _event_id: int, channel_id: int, seq: int, _author_id: int, _body: str
    ) -> None:
        """See `backend.IndexChanges`."""
        self._terms[channel_id, seq] = None

    def save(self, connection: Connection) -> None:
        """See `backend.IndexChanges`."""
        added = [(*key, terms) for key, terms in self._terms.items() if terms is not None]
        removed = [key for key, terms in self._terms.items() if terms is None]
        if removed:
            run_many(connection, _REMOVE, removed)
        if added:
            _ADD.run(connection, added)

    def clear(self) -> None:
        """See `backend.IndexChanges`."""
        self._terms.clear()


class Lookup:
    """See `backend.Lookup`."""

    is_behind = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_windowed(self, words: Sequence[Word]) -> bool:
        """Return true: GIN reads all messages with a word before it returns the newest."""
        del words
        return True

    def look(
        self, words: Sequence[Word], channel_id: int, low: int, high: int, count: int
    ) -> tuple[list[int], int]:
        """See `backend.Lookup`."""
        terms = [
            f"{_PREFIX}{word.text}" if word.is_prefix else word.text[:WORD_MAX] for word in words
        ]
        found = _SEQS.column(
            self._connection,
            words=" ".join((window_trait(channel_id, high), *terms)),
            channel=channel_id,
            low=low,
            high=high,
            count=count,
        )
        return found, found[-1] if len(found) == count else low
