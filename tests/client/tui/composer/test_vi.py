"""The vi state machine, without a screen; `|` is the caret, before the character under it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.tui.composer.vi.field import Field
from chat.client.tui.composer.vi.machine import Ask, Mode, Vi

_NAMES = {"<esc>": "escape", "<c-r>": "ctrl+r", "<left>": "left", "<enter>": "enter"}


class Hand:
    """A machine with a text; keys that the machine ignores edit the text as a text area does."""

    def __init__(self, shown: str) -> None:
        self.vi = Vi()
        self.vi.press("escape", Field("", 0))
        self.asked: list[Ask | None] = []
        self.field = Field(shown.replace("|", ""), shown.index("|"))

    def type(self, keys: str) -> Hand:
        while keys:
            name = next((name for name in _NAMES if keys.startswith(name)), keys[0])
            keys = keys[len(name) :]
            done = self.vi.press(_NAMES.get(name, name), self.field)
            if isinstance(done, Field):
                self.field = done
            elif done is None and self.vi.mode is Mode.INSERT:
                at = self.field.caret
                self.field = self.field.spliced(at, at, name).at(at + len(name))
            else:
                self.asked.append(done)
        return self

    @property
    def shown(self) -> str:
        return f"{self.field.text[: self.field.caret]}|{self.field.text[self.field.caret :]}"


@pytest.mark.parametrize(
    ("before", "keys", "after"),
    [
        # Motions
        ("one |two", "h", "one| two"),
        ("|one", "h", "|one"),
        ("on|e", "l", "on|e"),
        ("|one two", "3l", "one| two"),
        ("|one two.three", "w", "one |two.three"),
        ("one |two.three", "w", "one two|.three"),
        ("one |two.three", "W", "one two.thre|e"),
        ("|a\n\nb", "w", "a\n|\nb"),
        ("one two|", "b", "one |two"),
        ("one.two thre|e", "2b", "one.|two three"),
        ("one.two |three", "B", "|one.two three"),
        ("|one two", "e", "on|e two"),
        ("|one two", "2e", "one tw|o"),
        ("  one t|wo", "0", "|  one two"),
        ("  one t|wo", "^", "  |one two"),
        ("|one\ntwo", "$", "on|e\ntwo"),
        ("|one\ntwo", "2$", "one\ntw|o"),
        ("abc|d\nx\nabcd", "j", "abcd\n|x\nabcd"),
        ("abc|d\nx\nabcd", "jj", "abcd\nx\nabc|d"),
        ("one\nt|wo", "k", "o|ne\ntwo"),
        ("one\ntwo\nth|ree", "gg", "|one\ntwo\nthree"),
        ("|one\ntwo\nthree", "G", "one\ntwo\n|three"),
        ("|one\ntwo\nthree", "2G", "one\n|two\nthree"),
        ("|hello", "fl", "he|llo"),
        ("|hello", "2fl", "hel|lo"),
        ("|hello", "tl", "h|ello"),
        ("hell|o", "Fe", "h|ello"),
        ("hell|o", "Te", "he|llo"),
        ("|a,b,c", "f,;", "a,b|,c"),
        ("|a,b,c", "f,;,", "a|,b,c"),
        ("|日本語 文", "w", "日本語 |文"),
        # Operators
        ("|one two", "dw", "|two"),
        ("one |two\nthree", "dw", "one| \nthree"),
        ("|one two three", "2dw", "|three"),
        ("|one two three four", "d2w", "|three four"),
        ("|a b c d e", "2d2w", "|e"),
        ("|one two", "de", "| two"),
        ("one tw|o", "db", "one |o"),
        ("one |two", "d$", "one| "),
        ("one |two", "d0", "|two"),
        ("|hello", "dtl", "|llo"),
        ("|hello", "dfl", "|lo"),
        ("one\nt|wo\nthree", "dd", "one\n|three"),
        ("one\nt|wo", "dd", "|one"),
        ("o|ne", "dd", "|"),
        ("|one\ntwo\nthree", "2dd", "|three"),
        ("|one\ntwo\nthree", "dj", "|three"),
        ("one\ntwo\nt|hree", "dk", "|one"),
        ("one\n|two\nthree", "dG", "|one"),
        ("one\n|two\nthree", "dgg", "|three"),
        ("one t|wo three", "diw", "one | three"),
        ("one t|wo three", "daw", "one |three"),
        ("one t|wo", "daw", "on|e"),
        ("|one two", "cwnew<esc>", "ne|w two"),
        ("|one two three", "c2wnew<esc>", "ne|w three"),
        ("one\n|two", "ccnew<esc>", "one\nne|w"),
        ("one |two", "Cx<esc>", "one |x"),
        ("one t|wo three", "ciwx<esc>", "one |x three"),
        ("|one", "sx<esc>", "|xne"),
        ("|one", "Sx<esc>", "|x"),
        # Registers
        ("|one two", "ywP", "one| one two"),
        ("|one\ntwo", "yyp", "one\n|one\ntwo"),
        ("|one\ntwo", "yyjp", "one\ntwo\n|one"),
        ("|one\ntwo", "yyP", "|one\none\ntwo"),
        ("|one\ntwo", "yy2p", "one\n|one\none\ntwo"),
        ("|one\ntwo", "Yjp", "one\ntwo\n|one"),
        ("|ab", "xp", "b|a"),
        # Single keys
        ("|abc", "x", "|bc"),
        ("ab|c", "x", "a|b"),
        ("|abcd", "3x", "|d"),
        ("ab|c", "X", "a|c"),
        ("|abc", "rx", "|xbc"),
        ("|abc", "2rx", "x|xc"),
        ("|abc", "4rx", "|abc"),
        ("|aBc", "~", "A|Bc"),
        ("|one\n  two", "J", "one| two"),
        ("o|ne", "D", "|o"),
        # Insertions
        ("a|b", "ix<esc>", "a|xb"),
        ("a|b", "ax<esc>", "ab|x"),
        ("a|b", "Ax<esc>", "ab|x"),
        ("  a|b", "Ix<esc>", "  |xab"),
        ("|one\ntwo", "ox<esc>", "one\n|x\ntwo"),
        ("one\n|two", "Ox<esc>", "one\n|x\ntwo"),
        ("|b", "3ia<esc>", "aa|ab"),
        # Repetition
        ("|one two three", "dw.", "|three"),
        ("|abc", "x.", "|c"),
        ("|abcdef", "x3.", "|ef"),
        ("|one two", "cwx<esc>w.", "x |x"),
        ("|one\ntwo", "A!<esc>j.", "one!\ntwo|!"),
        ("|a", "ob<esc>.", "a\nb\n|b"),
        ("|one two", "dwu.", "|"),
        # Visual
        ("|one two", "ved", "| two"),
        ("|one two", "vlly$p", "one twoon|e"),
        ("one t|wo", "vbd", "one |o"),
        ("|one two", "vecx<esc>", "|x two"),
        ("|one\ntwo\nthree", "Vjd", "|three"),
        ("one\nt|wo\nthree", "Vkd", "|three"),
        ("|one two", "vex", "| two"),
        ("|one two", "ve~", "|ONE two"),
        ("|one two", "verx", "|xxx two"),
        ("|one two", "vlohd", "|e two"),
        ("|a\nb", "VjJ", "a| b"),
        ("|one two", "yiwwvep", "one on|e"),
    ],
)
@pytest.mark.feature("writing.vi")
def test_keys_work_as_in_vi(before: str, keys: str, after: str) -> None:
    hand = Hand(before).type(keys)
    assert hand.shown == after
    assert hand.vi.mode is Mode.NORMAL


def test_vi_starts_in_insert_mode_and_escape_enters_normal_mode() -> None:
    vi = Vi()
    assert vi.press("x", Field("", 0)) is None
    assert vi.press("escape", Field("ab", 2)) == Field("ab", 1)
    assert vi.press("x", Field("ab", 1)) == Field("a", 0)


def test_escape_drops_pending_keys_and_is_then_unused() -> None:
    hand = Hand("|one").type("2d")
    assert hand.vi.pending == "2d"
    hand.type("<esc>")
    assert hand.vi.pending == ""
    assert hand.asked == []
    assert hand.type("<esc>").asked == [None]


def test_escape_ends_a_selection() -> None:
    assert Hand("|one").type("vl").field == Field("one", 1, anchor=0)
    hand = Hand("|one").type("vl<esc>")
    assert hand.field == Field("one", 1)
    assert hand.vi.mode is Mode.NORMAL


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ("u", Ask.UNDO),
        ("<c-r>", Ask.REDO),
        ("q", Ask.BELL),
        ("dq", Ask.BELL),
        ("fz", Ask.BELL),
        (".", Ask.BELL),
        ("p", Ask.BELL),
        ("<enter>", None),
    ],
)
def test_vi_requests_actions_from_the_owner(keys: str, asked: Ask | None) -> None:
    hand = Hand("|one").type(keys)
    assert hand.asked == [asked]
    assert hand.shown == "|one"


_KEYS = [*"hjklwbeWBE0^$G;,gftFTdcyxXpProOAIiasSCDYJ~vV.u123 aA", "escape", "ctrl+r", "left"]


@given(st.text("ab_ .\n\t語", max_size=12), st.lists(st.sampled_from(_KEYS), max_size=24))
def test_the_caret_stays_in_the_text_for_any_keys(text: str, keys: list[str]) -> None:
    vi, field = Vi(), Field(text, len(text))
    vi.press("escape", field)
    for key in keys:
        done = vi.press(key, field)
        if isinstance(done, Field):
            field = done
        assert 0 <= field.caret <= len(field.text)
        if vi.mode is Mode.NORMAL and isinstance(done, Field) and not vi.pending:
            assert field.anchor is None
            assert field == field.on(field.caret)


@pytest.mark.parametrize("key", [":", "/"])
def test_a_slash_in_an_empty_composer_starts_a_command(key: str) -> None:
    hand = Hand("|").type(f"{key}join")
    assert (hand.shown, hand.vi.mode) == ("/join|", Mode.INSERT)
    hand = Hand("|one").type(key)
    assert (hand.shown, hand.asked) == ("|one", [Ask.BELL])
