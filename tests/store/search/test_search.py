"""Search: matches, permissions, order, and erased texts."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import combinations, islice
from string import ascii_lowercase
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chat.errors import CommandError, ErrorCode
from chat.protocol.codec import encode
from chat.protocol.commands import Search
from chat.protocol.values import Limits
from chat.store.maintenance.check import reindex
from chat.store.operations import Append, Appended, User
from chat.store.schema import flags_of
from chat.store.search.query import parse_query
from chat.store.search.search import Found, Wanted
from chat.store.sqlite import fts5
from chat.store.store import look
from chat.store.words import SEQ_BITS, WINDOW
from tests.store.opened import OpenStore, delete, edit, message, topic

INDEXED, UNINDEXED = 0.0, 3_600.0
"""Seconds from a commit to the indexing of its messages."""


@pytest.fixture(params=[INDEXED, UNINDEXED], ids=["indexed", "unindexed"])
def open_store(
    request: pytest.FixtureRequest, open_store: Callable[..., OpenStore]
) -> Callable[..., OpenStore]:
    """Return a function that opens stores with indexed or unindexed messages."""
    return partial(open_store, index_after=request.param)


def find(
    store: OpenStore, user: User, query: str, channel: str | None = None, **fields: Any
) -> Found:
    if store.index_after == INDEXED:
        store.wait_until_indexed()
    wanted = Wanted(parse_query(query), **fields)
    return store.read(lambda reader: reader.search(user, channel, wanted))


def numbers(found: Found) -> list[int]:
    return [hit.seq for hit in found.hits]


def send_all(store: OpenStore, messages: Iterable[Append]) -> list[int]:
    done = store.together(list(messages))
    return [each.seq for each in done if isinstance(each, Appended) and each.seq is not None]


def in_all(store: OpenStore, user: User, query: str, **fields: Any) -> list[int]:
    return numbers(find(store, user, query, **fields))


def spread(
    store: OpenStore, windows: float, open_store: Callable[[], OpenStore]
) -> tuple[OpenStore, int]:
    """Insert other events into every log, so that a search needs several windows.

    Returns the store and the factor by which seqs grew: `windows` times the size of a window.
    """
    factor = round(WINDOW * windows)
    with closing(sqlite3.connect(store.file, isolation_level=None)) as db:
        db.executescript(f"""
            BEGIN;
            UPDATE events SET seq = seq * {factor};
            UPDATE channels SET head = head * {factor};
            WITH RECURSIVE gap (size) AS
                (SELECT 1 UNION ALL SELECT size + 1 FROM gap WHERE size < {factor - 1})
            INSERT INTO events (channel_id, seq, mid, ts, author_id, flags, target)
            SELECT channel_id, seq - size, '', ts, author_id, {flags_of("pin")}, seq
            FROM events, gap;
            COMMIT""")
    if store.index_after == UNINDEXED:
        return store, factor
    store.store.close()
    reindex(store.url)
    return open_store(), factor


@contextmanager
def searched_channels() -> Iterator[set[int]]:
    """Collect the ids of channels whose rows in the full-text index are read."""
    found: set[int] = set()

    def note(statement: str) -> None:
        if rows := re.search(r"MATCH .* BETWEEN (\d+) AND (\d+)", statement, re.DOTALL):
            found.update(int(row_id) >> SEQ_BITS for row_id in rows.groups())

    def trace(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.set_trace_callback(note)

    event.listen(Pool, "checkout", trace)
    try:
        yield found
    finally:
        event.remove(Pool, "checkout", trace)


class TestWords:
    @pytest.mark.parametrize(
        ("query", "is_found"),
        [
            ("quick", True),
            ("QUICK foxes", True),
            ("quick dogs", False),
            ("uber", True),
            ('"quick brown"', True),
            ('"brown quick"', False),
            ("quic", False),
            ("quic*", True),
            ('"quick bro"*', True),
            ("jumps.over", True),
            ("AND OR NOT", False),
            ("text:quick", False),
            ("quick) OR (dogs", False),
            ("traits:a1", False),
            ("·a1", False),
            ("a1", False),
        ],
    )
    def test_query_finds_a_text(
        self, store: OpenStore, alice: User, query: str, is_found: bool
    ) -> None:
        seq = store.send(alice, "The quick brown foxes: jumps over Über-Hunde")
        store.send(alice, "dogs")
        assert in_all(store, alice, query) == ([seq] if is_found else [])

    @pytest.mark.parametrize(
        ("query", "is_found"),
        [
            ("検索", True),
            ("文検", True),
            ("索全", False),
            ("索*", True),
            ("カナ", True),
            ("검색", True),
            ("full全文", True),
            ("見", False),
            ("bla*", True),
            ("blac*", True),
            ("black*", True),
            ("blackb*", True),
            ("blacks*", False),
            ('"a blackbe"*', True),
            ("BLÄCKB*", True),
        ],
    )
    def test_prefix_finds_words(
        self, store: OpenStore, alice: User, query: str, is_found: bool
    ) -> None:
        seq = store.send(alice, "a blackberry, full全文検索カタカナ、전문검색")
        store.send(alice, "blackmail, 全 索 in other words")
        found = in_all(store, alice, query)
        assert (seq in found) == is_found

    def test_only_messages_are_found(self, store: OpenStore, alice: User) -> None:
        store.append(topic(alice, "quick"))
        assert in_all(store, alice, "quick") == []

    def test_search_by_link_and_author(self, store: OpenStore, alice: User, bob: User) -> None:
        plain, linked = store.send(alice, "see"), store.send(bob, "see https://example.org/x")
        assert in_all(store, alice, "see") == [linked, plain]
        assert in_all(store, alice, "see", with_link=True) == [linked]
        assert in_all(store, alice, "", author="ALICE") == [plain]
        assert in_all(store, alice, "example", author="bob", with_link=True) == [linked]
        assert in_all(store, alice, "see", author="nobody") == []

    def test_search_by_time(self, store: OpenStore, alice: User) -> None:
        seqs = [store.send(alice, "word") for _ in range(20)]
        times = [store.item(alice, seq).ts for seq in seqs]
        assert in_all(store, alice, "word", before=times[7]) == seqs[6::-1]
        assert in_all(store, alice, "word", after=times[17]) == seqs[:16:-1]
        assert in_all(store, alice, "word", after=times[3], before=times[5]) == [seqs[4], seqs[3]]
        assert in_all(store, alice, "word", before=1) == []

    @pytest.mark.parametrize("wrong", [1, 4_000_000_000])
    def test_message_with_a_wrong_time_hides_no_other(
        self,
        open_store: Callable[[], OpenStore],
        wrong: int,
    ) -> None:
        store = open_store()
        alice = store.sign_in("alice")
        seqs: list[int] = []
        for at in range(21):
            store.set_clock(wrong if at == 10 else 2_000 + at)
            seqs.append(store.send(alice, "word"))
        store, factor = spread(store, 1 / 4, open_store)
        seqs = [seq * factor for seq in seqs]
        right = [seq for seq in seqs if seq != seqs[10]]
        for query in ("word", "word wor*"):
            early = in_all(store, alice, query, before=2_005_000, limit=99)
            assert [seq for seq in early if seq != seqs[10]] == right[4::-1]
            late = in_all(store, alice, query, after=2_015_000, limit=99)
            assert [seq for seq in late if seq != seqs[10]] == right[:13:-1]
            far = find(store, alice, query, after=wrong * 1_000, before=wrong * 1_000 + 1)
            assert numbers(far) == [seqs[10]]

    @settings(
        max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(query=st.text(max_size=40) | st.text('"*()^:+-{}. aANDORT', max_size=20))
    def test_any_query_is_answered_or_refused(
        self, store: OpenStore, alice: User, query: str
    ) -> None:
        with suppress(CommandError):
            find(store, alice, query, author="alice")


class TestSnippets:
    @pytest.mark.parametrize(
        ("query", "text", "marked"),
        [
            ("αθηνα", "Πάμε Αθήνα", "Αθήνα"),
            ("новый", "Новы\u0438\u0306 файл", "Новы\u0438\u0306"),
            ("strasse", "eine Straße", "Straße"),
            ("tea", "a ｔｅａ", "ｔｅａ"),
            ("שלום", "שָׁלוֹם", "שָׁלוֹם"),
        ],
    )
    def test_marks_apply_to_the_original_text(
        self, store: OpenStore, alice: User, query: str, text: str, marked: str
    ) -> None:
        store.send(alice, text)
        (hit,) = find(store, alice, query).hits
        assert [hit.snippet[first:last] for first, last in hit.marks] == [marked]

    def test_matches_are_marked(self, store: OpenStore, alice: User) -> None:
        store.send(alice, "ein schöner Tag, ein schöner tag")
        (hit,) = find(store, alice, '"SCHONER TAG" ein').hits
        assert [hit.snippet[first:last] for first, last in hit.marks] == [
            *("ein", "schöner Tag"),
            *("ein", "schöner tag"),
        ]

    def test_single_character_words_are_marked(self, store: OpenStore, alice: User) -> None:
        store.send(alice, "全文検索、検索")
        (hit,) = find(store, alice, "検索").hits
        assert [hit.snippet[first:last] for first, last in hit.marks] == ["検索", "検索"]

    def test_snippet_of_a_long_text_contains_the_match(self, store: OpenStore, alice: User) -> None:
        store.send(alice, "before " * 200 + "needle" + " after" * 200)
        (hit,) = find(store, alice, "needle").hits
        assert hit.snippet.startswith("…before")
        assert hit.snippet.endswith("…")
        assert len(hit.snippet) < 250
        ((first, last),) = hit.marks
        assert hit.snippet[first:last] == "needle"


class TestRights:
    @pytest.mark.promise(
        7,
        fault="words that only occur in channels of others, as full text, prefix, author and link",
        result="not found; members find them, former members no longer",
    )
    def test_only_readable_messages_are_found(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(bob, "#closed")
        seq = store.send(bob, "treasure https://example.org", "#closed")
        store.join(alice, "#own")
        while store.send(alice, "of the same number", "#own") < seq:
            pass
        for query, fields in (
            ("treasure", {}),
            ("treas*", {}),
            ("", {"author": "Bob"}),
            ("", {"with_link": True}),
        ):
            nothing = Found((), None)
            assert find(store, alice, query, **fields) == nothing
            assert in_all(store, bob, query, **fields) == [seq]
        store.join(alice, "#closed")
        assert in_all(store, alice, "treasure") == [seq]
        store.leave(alice, "#closed")
        assert in_all(store, alice, "treasure", positions={"#closed": 99}) == []

    def test_search_in_one_channel(self, store: OpenStore, alice: User, bob: User) -> None:
        store.join(bob, "#closed")
        seq = store.send(bob, "treasure", "#closed")
        store.send(bob, "treasure")
        assert numbers(find(store, bob, "treasure", "#CLOSED")) == [seq]
        for channel, code in (
            ("#closed", ErrorCode.NOT_A_MEMBER),
            ("#nowhere", ErrorCode.NO_SUCH_CHANNEL),
            ("@Bob,carol", ErrorCode.NO_SUCH_CHANNEL),
        ):
            with pytest.raises(CommandError) as refused:
                find(store, alice, "treasure", channel)
            assert refused.value.code is code

    def test_messages_of_other_channels_are_not_read(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.require_sqlite()
        store.join(bob, "#closed")
        store.together([message(bob, "common", "#closed") for _ in range(500)])
        seq = store.send(alice, "common")
        general = store.membership(alice).channel.id
        with searched_channels() as searched:
            assert in_all(store, alice, "common") == [seq]
        assert searched <= {general}


class TestPages:
    def test_hits_are_newest_first_across_channels_without_duplicates(
        self, store: OpenStore, alice: User
    ) -> None:
        places = ["#general", "#one", "#two"]
        for channel in places:
            store.join(alice, channel)
        turns = [places[step % 3 if step < 60 else 0] for step in range(90)]
        sent = [(channel, store.send(alice, "word", channel)) for channel in turns]
        found: list[tuple[str, int]] = []
        page = find(store, alice, "word", limit=7)
        while True:
            found += [(hit.channel, hit.seq) for hit in page.hits]
            if page.positions is None:
                break
            assert len(page.hits) == 7
            page = find(store, alice, "word", limit=7, positions=page.positions)
        assert found == sent[::-1]

    def test_page_with_exactly_all_hits_is_the_last(self, store: OpenStore, alice: User) -> None:
        for _ in range(5):
            store.send(alice, "word")
        assert find(store, alice, "word", limit=5).positions is None
        assert find(store, alice, "word", limit=4).positions is not None

    def test_search_continues_across_windows(self, open_store: Callable[[], OpenStore]) -> None:
        store = open_store()
        alice = store.sign_in("alice")
        texts = ["one two", "one", "two", "two one", "one", "three"] * 4
        sent = send_all(store, [message(alice, text) for text in texts])
        store, factor = spread(store, 1 / 4, open_store)
        sent = [seq * factor for seq in sent]
        both = [
            seq for seq, text in zip(sent, texts, strict=True) if {"one", "two"} <= {*text.split()}
        ]
        assert in_all(store, alice, "one two", limit=99) == both[::-1]
        assert in_all(store, alice, '"two one"', limit=99) == both[1::2][::-1]
        assert in_all(store, alice, "one three") == []

    def test_page_stops_at_its_time_budget_and_the_next_continues(
        self, open_store: Callable[[], OpenStore]
    ) -> None:
        store = open_store()
        alice = store.sign_in("alice")
        places = ["#general", "#one"]
        store.join(alice, "#one")
        turns = [places[step // 2 % 2] for step in range(40)]
        texts = ["good", "morning", "good", "good morning", "morning"] * 8
        sent = send_all(store, map(message, [alice] * 40, texts, turns))
        store, factor = spread(store, 1 / 8, open_store)
        sent = [seq * factor for seq in sent]
        found_in = zip(turns, sent, texts, strict=True)
        both = [(place, seq) for place, seq, text in found_in if " " in text]
        pages = [find(store, alice, "good morning", budget=0.0)]
        while (positions := pages[-1].positions) is not None:
            pages.append(find(store, alice, "good morning", positions=positions, budget=0.0))
        found = [(hit.channel, hit.seq) for page in pages for hit in page.hits]
        assert found == both[::-1]
        assert len(pages) > 4

    def test_channel_without_recent_messages_is_not_searched(
        self, store: OpenStore, alice: User
    ) -> None:
        store.require_sqlite()
        store.join(alice, "#old")
        store.send(alice, "word", "#old")
        sent = [store.send(alice, "word") for _ in range(6)]
        general = store.membership(alice).channel.id
        with searched_channels() as searched:
            assert in_all(store, alice, "word", limit=3) == sent[:2:-1]
        assert searched <= {general}


class TestChanges:
    def test_edited_message_is_found_by_its_current_text(
        self, store: OpenStore, alice: User
    ) -> None:
        seq = store.send(alice, "first https://example.org")
        store.append(edit(alice, seq, "second"))
        assert in_all(store, alice, "first") == []
        assert in_all(store, alice, "", with_link=True) == []
        assert in_all(store, alice, "second") == [seq]

    @pytest.mark.promise(
        7, fault="a search for words of deleted and replaced texts", result="nothing is found"
    )
    def test_deleted_message_is_not_found(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice, "first")
        store.append(edit(alice, seq, "second"))
        assert in_all(store, alice, "first") == []
        store.append(delete(alice, seq))
        assert in_all(store, alice, "second") == []
        assert not store.problems(), "no word of it is in the index"

    def test_edits_and_deletions_in_one_commit_are_respected(
        self, store: OpenStore, alice: User
    ) -> None:
        store.together(
            [
                message(alice, "one"),
                edit(alice, 2, "two"),
                edit(alice, 2, "three"),
                message(alice, "four"),
                delete(alice, 4 + 1),
                message(alice, "five"),
                delete(alice, 7),
            ]
        )
        words = ("one", "two", "three", "four", "five")
        assert [in_all(store, alice, word) for word in words] == [[], [], [2], [], []]

    def test_index_survives_a_restart(
        self, store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
    ) -> None:
        seq = store.send(alice, "lasting")
        store.store.close()
        assert in_all(open_store(), alice, "lasting") == [seq]


def test_message_with_a_very_long_word_is_stored_and_found(store: OpenStore, alice: User) -> None:
    word = "".join(random.Random(12).choices(ascii_lowercase, k=6_000))
    seq = store.send(alice, f"{word} signature")
    store.send(alice, "another signature")
    assert in_all(store, alice, "signature") == [seq + 1, seq]
    assert in_all(store, alice, f"{word} signature") == [seq]


class TestIndexing:
    def test_index_of_another_version_is_rebuilt(
        self, store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
    ) -> None:
        seqs = [store.send(alice, text) for text in ("Αθήνα", "one", "two")]
        store.store.close()
        with closing(sqlite3.connect(store.file)) as db:
            db.executescript(
                "DELETE FROM meta WHERE key = 'search_format';"
                "DROP TABLE search_words; DROP TABLE search;"
                "CREATE VIRTUAL TABLE search USING fts5(text, traits, tokenize='unicode61',"
                " prefix='3 5', content='', columnsize=0);"
                "CREATE VIRTUAL TABLE search_words USING fts5vocab(search, instance);"
                "INSERT INTO search (rowid, text, traits) VALUES (1 << 36 | 2, 'Αθήνα', 'a1 w0')"
            )
        assert not store.problems(), "another version's index is not called wrong"
        again = open_store()
        again.append(edit(alice, seqs[1], "other"))
        assert in_all(again, alice, "αθηνα") == [seqs[0]]
        assert in_all(again, alice, "other two*") == []
        assert in_all(again, alice, "other") == [seqs[1]]
        assert not again.problems()

    def test_check_finds_an_index_that_disagrees_with_the_log(
        self, store: OpenStore, alice: User
    ) -> None:
        store.send(alice, "word")
        store.store.close()
        reindex(store.url)
        assert not store.problems()
        for statement in (
            "INSERT INTO search (rowid, words) VALUES (1 << 36 | 9, 'x')",
            "INSERT INTO search (search, rowid, words) VALUES ('delete', 1 << 36 | 9, 'x')",
            "INSERT INTO search (search, rowid, words) VALUES ('delete', 1 << 36 | 2, 'word')",
        ):
            with closing(sqlite3.connect(store.file, isolation_level=None)) as db:
                db.execute(statement).close()
            is_wrong = "'x'" not in statement or "delete" not in statement
            assert bool(store.problems()) == is_wrong
        reindex(store.url)
        assert not store.problems()

    def test_search_is_refused_with_too_many_unindexed_messages(
        self, store: OpenStore, alice: User
    ) -> None:
        store.together([message(alice, "word") for _ in range(fts5.UNINDEXED_MAX + 1)])
        store.wait_until_indexed()
        store.store.close()
        with closing(sqlite3.connect(store.file, isolation_level=None)) as db:
            db.execute("UPDATE meta SET value = 0 WHERE key = 'search_place'").close()
        wanted = Wanted(parse_query("word"))
        with pytest.raises(CommandError) as refused:
            look(store.url, lambda reader: reader.search(alice, None, wanted))
        assert refused.value.code is ErrorCode.UNAVAILABLE
        assert refused.value.retry_after


def test_cursor_fits_into_a_frame_with_any_number_of_direct_channels(
    open_store: Callable[..., OpenStore],
) -> None:
    limits = Limits(frame=4_096, openings=1_000)
    store = open_store(limits)
    alice, mallory = store.sign_in("alice"), store.sign_in("mallory")
    names = [f"somebody-with-a-long-name.{number:02}" for number in range(16)]
    for name in names:
        store.sign_in(name)
    mine = ["#general", "#tea", f"@alice,{names[0]}"]
    for channel in mine:
        store.join(alice, channel)
        for _ in range(5):
            store.send(alice, "word", channel)
    for some in islice(combinations(names, 14), 20):
        store.send(mallory, "word", "@" + ",".join(("alice", "mallory", *some)))
    hits = 0
    positions: dict[str, int] = {}
    while True:
        page = find(store, alice, "word", limit=2, positions=positions)
        hits += sum(hit.channel in mine for hit in page.hits)
        if page.positions is None:
            break
        positions = {**page.positions}
        assert len(encode(Search(id="1234567890", query="word", cursor=positions))) <= limits.frame
    assert hits == 15
