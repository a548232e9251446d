"""Words: which are the same, told by the index of a server; and what a file is asked for."""

from __future__ import annotations

import re
import sqlite3
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.client.state import Message
from chat.client.stored import line_json
from chat.client.words import pattern_of, plain, raw_of, words_in
from chat.core.words import apart, is_unspaced
from chat.store.fulltext import TOKENIZER

LETTERS = "aAeEsSoOkKüÜöÖéßſК\u212aжЖйςσΣłİı\u0308\u0301ạ"
TEXTS = st.text(LETTERS + '本語が한국 \n"\\_-,.😀', max_size=12)
WORDS = st.text(LETTERS, min_size=1, max_size=3) | st.sampled_from("本語が한국")


def is_found(word: str, text: str, *, goes_on: bool = False) -> bool:
    words = words_in(plain(word))
    return bool(words and re.search(pattern_of(words, goes_on=goes_on), plain(text)))


def is_found_by_the_index(word: str, text: str, *, goes_on: bool) -> bool:
    with sqlite3.connect(":memory:") as db:
        db.execute(f"CREATE VIRTUAL TABLE found USING fts5 (text, {TOKENIZER})")
        db.execute("INSERT INTO found VALUES (?)", (apart(text),))
        star = "*" if goes_on else ""
        rows = db.execute("SELECT 1 FROM found WHERE found MATCH ?", (f'"{apart(word)}"{star}',))
        found = rows.fetchone() is not None
    db.close()
    return found


@given(word=WORDS, text=TEXTS, goes_on=st.booleans())
@example(word="u", text="U\u0308", goes_on=False)
@example(word="se", text="gro\u0308se", goes_on=False)
@example(word="tea", text="日本tea", goes_on=False)
@example(word="s", text="ſ", goes_on=False)
@example(word="Σ", text="ς", goes_on=False)
def test_the_same_is_found_as_by_the_index_of_a_server(word: str, text: str, goes_on: bool) -> None:
    expected = is_found_by_the_index(word, text, goes_on=goes_on)
    assert is_found(word, text, goes_on=goes_on) is expected


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("かく", "がく"),
        ("한국", "하기"),
        ("и", "й"),
        ("tea", "te\u0301am"),
        ("se", "nge\u0323\u0302se"),
    ],
)
def test_letters_that_only_look_alike_are_not_the_same(word: str, text: str) -> None:
    assert not is_found(word, text)


def test_no_other_character_is_one_that_is_a_word_by_itself() -> None:
    others = (chr(code) for code in range(sys.maxunicode + 1) if not is_unspaced(chr(code)))
    assert not [char for char in others if is_unspaced(plain(char))]


@given(words=st.lists(WORDS | st.text("本語한", min_size=2, max_size=3), max_size=3), text=TEXTS)
@example(words=["uber"], text="Über")
@example(words=["tea"], text='"\\TEA\n')
@example(words=["本語"], text="日本語")
def test_what_is_found_holds_what_is_looked_for_in_the_file(words: list[str], text: str) -> None:
    parts = [part for word in words for part in words_in(plain(word))]
    if not all(re.search(pattern_of([part], goes_on=True), plain(text)) for part in parts):
        return
    body = line_json(Message("#c", 1, None, "bob", 1, text=text))
    with sqlite3.connect(":memory:") as db:
        (has_it,) = db.execute(
            "SELECT ?1 LIKE ?2 OR ?1 LIKE ?3", (body, *(f"%{raw}%" for raw in raw_of(parts)))
        ).fetchone()
    db.close()
    assert has_it
