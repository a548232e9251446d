"""Words: their equality and positions, the same on client and server."""

from __future__ import annotations

import sqlite3
import sys
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.tokenizer import find, folded, terms_of, words_in

LETTERS = "aAeEsSoOkKüÜöÖéßſК\u212aжЖйЙёςσΣάΆłøıİ\u0308\u0301\u0306ạﬁｔガｶﾞקָبَก่कुि"
TEXTS = st.text(LETTERS + '本語が한국ㄱ \n"\\_-,.😀\u200b\u200d\u00ad', max_size=14)


def found(query: str, text: str) -> list[str] | None:
    marks = find(terms_of(query), text)
    return None if marks is None else [text[start:end] for start, end in marks]


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("αθηνα", "Πάμε Αθήνα", "Αθήνα"),
        ("ΟΔΟΣ", "ο οδός", "οδός"),
        ("новый", normalize("NFD", "Новый файл"), normalize("NFD", "Новый")),
        ("елка", "Ёлка", "Ёлка"),
        ("замок", "за\u0301мок", "за\u0301мок"),
        ("strasse", "die Straße", "Straße"),
        ("STRAẞE", "strasse", "strasse"),
        ("istanbul", "İSTANBUL", "İSTANBUL"),
        ("ISPARTA", "ısparta", "ısparta"),
        ("lodz", "w Łodzi, Łódź", "Łódź"),
        ("oere", "øre œre", "œre"),
        ("file", "a ﬁle", "ﬁle"),
        ("tea", "ｇｒｅｅｎ ＴＥＡ", "ＴＥＡ"),
        ("12", "⑫", "⑫"),
        ("שלום", "שָׁלוֹם", "שָׁלוֹם"),
        ("محمد", "مُحَمَّد", "مُحَمَّد"),
        ("كتاب", "كتـــاب", "كتـــاب"),
        ("احمد", "أحمد", "أحمد"),
        ("می‌روم", "میروم", "میروم"),
        ("カナ", "ｶﾅ", "ｶﾅ"),
        ("ガ", "ｶﾞ", "ｶﾞ"),
        ("한국", normalize("NFD", "한국어"), normalize("NFD", "한국")),
        ("viet nam", "Việt Nam", "Việt|Nam"),
        ("हिन्दी", "यह हिन्दी है", "हिन्दी"),
        ("ไทย", "ภาษา\u200bไทย", "ไทย"),
        ("soft", "so\u00adft", "so\u00adft"),
        ('"green te"*', "Green, TEÄs", "Green, TEÄs"),
        ("日本", "全日本語", "日本"),
        ("cafe", "cafe\u0301!", "cafe\u0301"),
    ],
)
def test_ignored_marks_and_forms_are_removed(query: str, text: str, marked: str) -> None:
    assert found(query, text) == marked.split("|")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("かく", "がく"),
        ("한국", "하기"),
        ("и", "й"),
        ("у", "ў"),
        ("tea", "te\u0301am"),
        ("se", "nge\u0323\u0302se"),
        ("क", "कु"),
        ("มา", "ม้า"),
    ],
)
def test_similar_looking_letters_stay_distinct(query: str, text: str) -> None:
    assert found(query, text) is None


@given(TEXTS)
@example("\u0308ü")
@example("İ")
def test_equivalent_spellings_fold_to_the_same_words(text: str) -> None:
    words = words_in(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert words_in(normalize(form, text)) == words
    assert words_in(text.lower()) == words
    assert words_in(" ".join(words)) == words


@given(text=TEXTS, start=st.integers(0, 14), length=st.integers(1, 5))
def test_matches_are_marked_at_their_positions(text: str, start: int, length: int) -> None:
    words = words_in(text)[start : start + length]
    if words:
        marks = find(terms_of(f'"{" ".join(words)}"'), text)
        assert marks
        for first, last in marks:
            assert " ".join(words) in " ".join(words_in(text[first:last]))


@given(text=TEXTS, query=TEXTS, star=st.sampled_from(["", "*"]))
def test_fts5_and_find_agree(text: str, query: str, star: str) -> None:
    terms = [(" ".join(term.words), term.is_prefix) for term in terms_of(query + star)]
    if not terms:
        return
    asked = " AND ".join(f'"{words}"' + ("*" if goes_on else "") for words, goes_on in terms)
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE VIRTUAL TABLE found USING fts5 (text, tokenize='ascii')")
        db.execute("INSERT INTO found VALUES (?)", (folded(text),))
        row = db.execute("SELECT 1 FROM found WHERE found MATCH ?", (asked,)).fetchone()
    db.close()
    assert (find(terms_of(query + star), text) is not None) == (row is not None)


def test_folded_text_contains_only_words_and_blanks() -> None:
    for code in range(sys.maxunicode + 1):
        text = folded(chr(code))
        assert not text.isascii() or all(char.isalnum() or char == " " for char in text), code


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("  two  Words ", [(("two",), False), (("words",), False)]),
        ('"two words" more', [(("two", "words"), False), (("more",), False)]),
        ('"never closed', [(("never", "closed"), False)]),
        ("pref*", [(("pref",), True)]),
        ('"a pref"*', [(("a", "pref"), True)]),
        ("twice TWICE", [(("twice",), False)]),
        ("你好", [(("你", "好"), False)]),
        ('→ ** "" \' 👍', []),
        ("from:alice", [(("from", "alice"), False)]),
    ],
)
def test_terms(query: str, terms: list[tuple[tuple[str, ...], bool]]) -> None:
    assert [(each.words, each.is_prefix) for each in terms_of(query)] == terms
