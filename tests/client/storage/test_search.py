"""Offline search in the cache, with the same query syntax as on a server."""

from __future__ import annotations

import pytest

from chat.client.model.coverage import Coverage
from chat.client.model.state import Message
from chat.client.storage.account import Account
from chat.client.storage.search import OfflineSearch, search_offline
from chat.protocol.commands import Search
from chat.protocol.frames import Hit


def line(seq: int, text: str, channel: str = "#tea", author: str = "bob") -> Message:
    return Message(channel, seq, None, author, seq * 1_000, text=text)


def found(query: str, text: str) -> list[str] | None:
    """Return the marked parts of `text`; None if it does not match."""
    hit = OfflineSearch(Search(query=query)).hit(line(1, text))
    if hit is None:
        return None
    marks = zip(hit.marks[::2], hit.marks[1::2], strict=True)
    return [hit.snippet[first:last] for first, last in marks]


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("tea", "green TEA, more tea", ["TEA", "tea"]),
        ("tea", "a team", None),
        ("tea green", "green tea", ["green", "tea"]),
        ("tea milk", "green tea", None),
        ("tea*", "a team", ["team"]),
        ('"green tea"', "green tea", ["green tea"]),
        ('"green tea"', "green, tea", ["green, tea"]),
        ('"green tea"', "tea, green", None),
        ('"green te"*', "green tea", ["green tea"]),
        ("uber", "Über alles", ["Über"]),
        ("ÜBER", "uber", ["uber"]),
        ("αθηνα", "Πάμε Αθήνα", ["Αθήνα"]),
        ("новый", "Новы\u0438\u0306 файл", ["Новы\u0438\u0306"]),
        ("本語", "日本語の文", ["本語"]),
        ("*** tea", "tea", ["tea"]),
        ("a.b(", "see a.b (c)", ["a.b"]),
    ],
)
def test_offline_search_finds_words_phrases_and_prefixes(
    query: str, text: str, marked: list[str] | None
) -> None:
    assert found(query, text) == marked


def test_a_snippet_of_a_long_text_surrounds_the_match() -> None:
    hit = OfflineSearch(Search(query="tea")).hit(line(1, "x " * 300 + "tea" + " y" * 300))
    assert hit is not None
    assert len(hit.snippet) == 240
    first, last = hit.marks
    assert hit.snippet[first:last] == "tea"


@pytest.mark.parametrize(
    ("search", "seqs"),
    [
        (Search(author="BOB"), [1]),
        (Search(has="link"), [2]),
        (Search(query="tea", before=2_000), [1]),
        (Search(query="tea", after=2_000), [2]),
    ],
)
def test_offline_search_applies_operators(search: Search, seqs: list[int]) -> None:
    lines = [line(1, "tea"), line(2, "tea: https://example.org", author="eve")]
    assert [each.seq for each in lines if OfflineSearch(search).hit(each)] == seqs


def test_deleted_messages_and_other_lines_are_not_found() -> None:
    looked = OfflineSearch(Search(author="bob"))
    assert looked.hit(Message("#tea", 1, None, "bob", 1, deleted=True)) is None
    assert looked.hit(Message("#tea", 1, None, "bob", 1, kind="join")) is None


def add(account: Account, name: str, spans: list[tuple[int, int]], *lines: Message) -> None:
    channel = account.ensure_channel(name)
    channel.is_member = True
    channel.view.coverage = Coverage(spans)
    channel.view.position = spans[-1][1]
    channel.view.changed.update({each.seq or 0: each for each in lines})


def places(hits: tuple[Hit, ...]) -> list[tuple[str, int]]:
    return [(hit.channel, hit.seq) for hit in hits]


async def test_all_channels_are_searched_newest_first(account: Account) -> None:
    add(account, "#tea", [(1, 3), (7, 9)], *(line(n, "tea") for n in (1, 2, 3, 7, 8, 9)))
    add(account, "#ops", [(1, 9)], line(4, "tea?", "#ops"), line(5, "no", "#ops"))
    result = await search_offline(account, Search(query="tea"), page=2)
    expected = [9, 8, 7, 4, 3, 2, 1]
    assert places(result.hits) == [("#ops" if n == 4 else "#tea", n) for n in expected]
    result = await search_offline(account, Search(query="tea", channel="#OPS"))
    assert places(result.hits) == [("#ops", 4)]
    result = await search_offline(account, Search(query="tea"), most=3)
    assert [hit.seq for hit in result.hits] == [9, 8, 7]


@pytest.mark.parametrize(
    ("query", "seqs"),
    [("tea", [9, 5, 1]), ("uber", [3]), ("本語", [4]), ("größe", [6]), ("***", range(9, 0, -1))],
)
async def test_stored_and_unsaved_lines_are_found(
    account: Account, query: str, seqs: list[int]
) -> None:
    texts = ["TEA", "no", "Über", "日本語", "tea é", "GRÖßE", "of old", "tea?", "no"]
    add(account, "#tea", [(1, 9)], *(line(n, text) for n, text in enumerate(texts, 1)))
    account.touch(account.ensure_channel("#tea"))
    account.flush()
    assert not account.ensure_channel("#tea").view.changed
    account.ensure_channel("#tea").view.changed |= {8: line(8, "edited"), 9: line(9, "tea!")}
    result = await search_offline(account, Search(query=query))
    assert [hit.seq for hit in result.hits] == list(seqs)
