"""The typed line in plain mode: editing, echo, and completion with Tab."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.plain.terminal import Echo, Editor, Ended, Submitted, Tabbed, TabPressed, tab
from chat.client.presenter.composer.completion import Sources


def submitted(data: bytes) -> list[str]:
    return [done.text for done in Editor().feed(data) if isinstance(done, Submitted)]


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        (b"hello\n", ["hello"]),
        (b"one\rtwo\n", ["one", "two"]),
        ("grüße 👍\n".encode(), ["grüße 👍"]),
        (b"hellp\x7fo\n", ["hello"]),
        (b"away\x15here\n", ["here"]),
        (b"keep drop\x17this\n", ["keep this"]),
        (b"a\x1b[Ab\x1b[1;5Dc\x1bOPd\x1bxe\n", ["abcde"]),
        (b"tab\there\x07\n", ["tabhere"]),
        (b"\xff\xfe\n", ["��"]),
        (b"\x7f\x7fx\x04\n", ["x"]),
        (b"\x1b[200~one\r\ntwo\rthree\n\x1b[201~\n", ["one\ntwo\nthree"]),
        (b"\x1b[200~/quit\n\x1b[201~\n", ["//quit"]),
        (b"\x1b[200~//a\n/b\x1b[201~\n", ["///a\n/b"]),
        (b"\x1b[200~/quit\x1b[201~\n", ["/quit"]),
        (b"/me \x1b[200~a\n/b\x1b[201~\n", ["/me a\n/b"]),
        (b"\x1b[200~a\x04\x03\x1b[Ab\x07\x7f\x15c\x1b[200~d\x1b[201~\n", ["abcd"]),
        (b"\x1b[200~one\n\x1b[201~\x15\x1b[201~two\n", ["two"]),
    ],
)
def test_enter_submits_the_typed_lines(typed: bytes, lines: list[str]) -> None:
    assert submitted(typed) == lines


def test_tab_is_an_action_of_its_own() -> None:
    assert list(Editor().feed(b"a\t")) == [Echo("a"), TabPressed()]


def test_only_ctrl_d_on_an_empty_line_ends() -> None:
    assert list(Editor().feed(b"\x04")) == [Ended()]
    assert list(Editor().feed(b"x\x04")) == [Echo("x")]


def test_backspace_reprints_the_line_after_a_wide_character() -> None:
    assert list(Editor().feed("a漢\x7f\x7f".encode()))[2:] == [
        Echo("", reprint=True),
        Echo("\b \b"),
    ]


@given(st.text(), st.integers(0, 50))
def test_bytes_may_come_in_any_pieces(text: str, at: int) -> None:
    data = text.encode(errors="replace")
    whole, parts = Editor(), Editor()
    first = list(parts.feed(data[:at]))
    assert list(whole.feed(data)) == first + list(parts.feed(data[at:]))
    assert whole.text == parts.text


@given(st.text())
def test_control_characters_are_not_echoed(text: str) -> None:
    for done in Editor().feed(text.encode(errors="replace")):
        if isinstance(done, Echo):
            assert done.text == "\b \b" or not set(done.text) & set(map(chr, range(32)))


SOURCES = Sources(("alice", "alina", "bob"), ("#tea", "#team", "#ops"))


@pytest.mark.parametrize(
    ("typed", "after"),
    [
        ("hi @b", Tabbed("hi @bob ")),
        ("hi @B", Tabbed("hi @bob ")),
        ("hi @a", Tabbed("hi @ali")),
        ("hi @A", Tabbed("hi @ali")),
        ("hi @ali", Tabbed("hi @ali", "@alice, @alina")),
        ("in #o", Tabbed("in #ops ")),
        ("in #te", Tabbed("in #tea")),
        ("in #tea", Tabbed("in #tea", "#tea, #team")),
        ("/top", Tabbed("/topic ")),
        ("/msg bo", Tabbed("/msg bob ")),
        (":tada", Tabbed("🎉 ")),
        ("plain words", Tabbed("plain words")),
        ("", Tabbed("")),
    ],
)
def test_tab_completes_the_common_prefix(typed: str, after: Tabbed) -> None:
    assert tab(typed, SOURCES) == after


def test_tab_lists_at_most_twenty_candidates() -> None:
    said = tab("@", Sources(tuple(f"{chr(97 + n)}x" for n in range(23)))).offers
    assert said.startswith("@ax, @bx, ")
    assert said.endswith("@tx and 3 more")
