"""The input parser: byte sequences of terminals, and the keys and pastes that they mean."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.message import Message

from chat.client.tui.terminal.input_parser import InputParser

START, END = "\x1b[200~", "\x1b[201~"


def parse(*chunks: str) -> list[Message]:
    """Return the events for the given chunks of input."""
    parser = InputParser()
    parsed = [message for chunk in chunks for message in parser.feed(chunk)]
    return [*parsed, *parser.settle()]


def keys(*chunks: str) -> list[str]:
    return [message.key for message in parse(*chunks) if isinstance(message, events.Key)]


def pastes(*chunks: str) -> list[str]:
    return [message.text for message in parse(*chunks) if isinstance(message, events.Paste)]


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("\x1b\r", "alt+enter"),  # Alt+Enter in nearly every terminal
        ("\x1b[13;3u", "alt+enter"),  # the same under the kitty protocol
        ("\x1b[27;3;13~", "alt+enter"),  # and under modifyOtherKeys
        ("\x1b[27;2;13~", "shift+enter"),
        ("\x1b[13;2u", "shift+enter"),
        ("\x1b[27;5;13~", "ctrl+enter"),
        ("\x1b[27;5;9~", "ctrl+tab"),
        ("\r", "enter"),
        ("\n", "ctrl+j"),
        ("\x1b[106;5u", "ctrl+j"),
        ("\x1b[27;5;106~", "ctrl+j"),
        ("\x1b[1;3B", "alt+down"),
        ("a", "a"),
        ("\x1ba", "alt+a"),
        ("\x1b[97;3u", "alt+a"),
        ("\x1b[27;3;97~", "alt+a"),
        ("\x1bA", "alt+shift+a"),
        ("\x1b,", "alt+comma"),
        ("\x1b.", "alt+full_stop"),
        ("\x1b[44;3u", "alt+comma"),
        ("\x1b7", "alt+7"),
        ("\x1b[55;3u", "alt+7"),
        ("\x1bb", "ctrl+left"),  # readline's previous word
    ],
)
def test_keys_have_the_same_name_in_all_terminals(sent: str, key: str) -> None:
    assert keys(sent) == [key]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (("\x1b", "a"), ["escape", "a"]),
        (("x\x1b", "dw"), ["x", "escape", "d", "w"]),
        (("\x1b", "O"), ["escape", "O"]),
        (("\x1b", "7"), ["escape", "7"]),
        (("\x1b", "\r"), ["escape", "enter"]),
        (("\x1b", "[A"), ["up"]),
        (("\x1b", "OP"), ["f1"]),
        (("\x1b[", "1;3B"), ["alt+down"]),
    ],
)
def test_escape_and_a_letter_soon_after_it_are_two_keys(
    chunks: tuple[str, ...], expected: list[str]
) -> None:
    assert keys(*chunks) == expected


def test_escape_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = InputParser()
    parsed = list(parser.feed("\x1b"))
    monkeypatch.setattr("textual._parser.get_time", lambda: float("inf"))
    parsed += [*parser.tick(), *parser.feed("a")]
    assert [each.key for each in parsed if isinstance(each, events.Key)] == ["escape", "a"]


@pytest.mark.parametrize("sent", ["\x1ba", "\x1b[97;3u", "\x1b[27;3;97~", "\x1bz"])
def test_a_letter_with_alt_is_not_text(sent: str) -> None:
    (key,) = parse(sent)
    assert isinstance(key, events.Key)
    assert not key.is_printable


def test_letters_after_alt_enter_are_letters() -> None:
    assert keys("\x1b\rab") == ["alt+enter", "a", "b"]


def test_a_paste_keeps_its_line_breaks() -> None:
    assert pastes(f"{START}one\rtwo{END}") == ["one\rtwo"]


def test_an_escape_in_a_paste_neither_ends_it_nor_becomes_keys() -> None:
    sent = f"{START}\x1b[31mred\x1b[0m\rrm -rf /\r{END}x"
    assert pastes(sent) == ["[31mred[0m\rrm -rf /\r"]
    assert keys(sent) == ["x"]


def test_an_end_marker_inside_a_paste_is_pasted_text() -> None:
    sent = f"{START}one{END}\r/quit\r{START}{END}\x11two{END}x\r"
    for cut in range(1, len(sent)):
        assert pastes(sent[:cut], sent[cut:]) == ["one\r/quit\r[200~\x11two"], cut
        assert keys(sent[:cut], sent[cut:]) == ["x", "enter"], cut


def test_adjacent_pastes_merge_only_if_they_arrive_together() -> None:
    parser = InputParser()
    two = [f"{START}one{END}", f"{START}two{END}"]
    messages = [message for sent in two for message in (*parser.feed(sent), *parser.settle())]
    assert [message.text for message in messages if isinstance(message, events.Paste)] == [
        "one",
        "two",
    ]
    assert pastes(*two) == pastes("".join(two)) == ["onetwo"]


@given(
    text=st.text(st.sampled_from("ab\r\x1b[2001~\u00e9"), max_size=30).filter(
        lambda text: END not in text
    ),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_a_paste_split_by_reads_arrives_whole(text: str, cuts: list[int]) -> None:
    sent = f"a{START}{text}{END}b"
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    chunks = [sent[start:end] for start, end in pairwise(edges)]
    assert keys(*chunks) == ["a", "b"]
    assert "".join(pastes(*chunks)) == text.replace("\x1b", "")


def test_the_end_of_input_is_no_event() -> None:
    parser = InputParser()
    assert [message for message in parser.feed("a") if isinstance(message, events.Key)]
    assert list(parser.feed("")) == []
