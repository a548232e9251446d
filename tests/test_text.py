"""Text: the accepted characters, and the display without control of the terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.text import (
    BUILTIN_CHANNELS,
    DIRECT_MAX,
    TooLong,
    channel_names,
    check_channel,
    check_line,
    check_name,
    check_text,
    counted,
    direct_channel,
    emoji_form,
    fold,
    is_blank,
    is_builtin,
    is_direct,
    is_typed_invitation,
    is_typed_link_code,
    mentioned_names,
    printable,
    printable_line,
)
from tests.costs import growth

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]

anything = st.text(
    st.one_of(
        st.characters(exclude_categories=()),  # lone surrogates included
        st.sampled_from([*CONTROLS, *BIDI, "\u200b", "\u200d", "\u0301", "\u20dd", "\ufe0f"]),
    )
)
name_characters = "abcABC019_-."
names = st.text(name_characters, min_size=1, max_size=32)


# Out: what a terminal gets


@given(anything)
@example("\x1b]52;c;ZXZpbA==\x07")
@example("\x9b31m")
@example("a\u202etxt.exe")
@example("\ud83d")
def test_printable_text_cannot_control_or_reorder_a_terminal(text: str) -> None:
    for char in printable(text):
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert char not in BIDI
    printable(text).encode()  # no lone surrogate: it can be written


@given(anything)
def test_a_printed_line_is_one_line_without_tabs(text: str) -> None:
    line = printable_line(text)
    assert not set(line) & set("\n\t\r")
    assert len(line.splitlines()) <= 1
    assert printable(line) == line


@given(anything)
@example("e" + "\u0301" * 8)
@example("e" + "\u0301" * 9)
def test_printing_twice_changes_nothing_more(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert printable_line(printable_line(text)) == printable_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII, two lines\n\tand a tab",
        "Grüße, żółw, Ελληνικά, Привет",
        "日本語と한국어、ไทย, हिन्दी, العربية, עברית",
        "می\u200cخواهم",  # Persian needs its non-joiner
        "🤷🏽\u200d♀️ 👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 ❤️ 1️⃣",
        "e\u0301 o\u0302\u0323 Z\u0351\u036b\u0343",
    ],
)
def test_ordinary_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\x00", "␀"),
        ("\x1b", "␛"),
        ("\x7f", "␡"),
        ("\x85", "<U+0085>"),
        ("\u202e", "<U+202E>"),
        ("\u200b", "<U+200B>"),
        ("\U000e0041", "<U+E0041>"),
        ("\ud800", "\ufffd"),
    ],
)
def test_replaced_characters_stay_visible(hidden: str, shown: str) -> None:
    assert printable(f"a{hidden}b") == f"a{shown}b"


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\ufe0f", "\u0301\u200d", "\u1161"])
def test_a_flood_of_marks_is_thinned_and_the_text_around_it_stays(mark: str) -> None:
    thinned = printable("a" + mark * 5_000 + "é!")
    assert thinned.startswith("a")
    assert thinned.endswith("é!")
    assert len(thinned) <= len("a") + 8 + len("é!")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200d日本", "a日本"),
        ("x🏽y", "xy"),
        ("👩🏽🏽", "👩🏽"),
        ("👩" + "\u200d👩" * 9, ("👩" + "\u200d👩" * 4) * 2),
    ],
)
def test_joiners_outside_emoji_are_dropped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_bidi_and_hidden_characters_are_never_in_a_prompt_like_line() -> None:
    assert printable_line("a\r\n\tb\u2028c") == "a b<U+2028>c"


@pytest.mark.parametrize(
    "flood",
    [
        "\x1b",
        "\u202e",
        "\u0301",
        "a\u0301",
        "\ud800",
        "🤷🏽\u200d♀️",
        "\n",
        "漢",
        "@",
        "@a",
        "a@a-.",
    ],
)
@pytest.mark.parametrize("show", [printable, printable_line, mentioned_names])
def test_printable_takes_linear_time(flood: str, show: Callable[[str], object]) -> None:
    small, large = ((flood * length)[:length] for length in (10_000, 100_000))
    assert growth(show, small, large, enough=30) < 30  # quadratic work takes 100 times as long


# In: what the protocol takes


@given(anything, st.integers(0, 40))
def test_check_text_returns_the_text_unchanged_or_refuses_it(text: str, limit: int) -> None:
    forbidden = any(
        unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in text
    )
    if forbidden or len(text) > limit or is_blank(text):
        with pytest.raises(
            ValueError, match=r"characters long|contains the character|no visible characters"
        ):
            check_text(text, limit)
    else:
        assert check_text(text, limit) == text


@given(anything, st.integers(0, 40))
def test_check_line_accepts_only_one_line(text: str, limit: int) -> None:
    try:
        line = check_line(text, limit)
    except ValueError:
        assert len(text) > limit or any(
            unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text
        )
    else:
        assert line == text
        assert len(line.splitlines()) <= 1


@pytest.mark.parametrize("check", [check_text, check_line, check_name])
def test_text_over_the_limit_raises_too_long_with_the_limit(
    check: Callable[[str, int], str],
) -> None:
    with pytest.raises(TooLong, match="is 1,001 characters long; at most 1,000 are allowed"):
        check("x" * 1_001, 1_000)


@given(st.text(st.characters(max_codepoint=0x250), max_size=40))
def test_names_are_ascii_letters_digits_and_three_signs(text: str) -> None:
    try:
        check_name(text)
    except ValueError:
        assert not re.fullmatch(r"[A-Za-z0-9_.\-]{1,32}", text)
    else:
        assert re.fullmatch(r"[A-Za-z0-9_.\-]{1,32}", text)


def test_a_name_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        check_name("alice\n")


@given(names)
def test_a_channel_keeps_its_spelling(name: str) -> None:
    channel = f"#{name}"
    assert check_channel(channel) == channel
    assert not is_direct(channel)
    assert channel_names(channel) == ()


@given(
    st.lists(names, min_size=2, max_size=DIRECT_MAX, unique_by=fold).flatmap(
        lambda people: st.tuples(st.just(people), st.permutations(people))
    )
)
def test_a_direct_channel_has_one_name_in_any_order(
    orders: tuple[list[str], list[str]],
) -> None:
    people, shuffled = orders
    channel = direct_channel(people)
    assert check_channel("@" + ",".join(shuffled)) == channel
    assert check_channel(channel) == channel
    assert is_direct(channel)
    assert sorted(channel_names(channel)) == sorted(people)


@pytest.mark.parametrize(
    "channel",
    ["", "general", "#", "# ", "#a b", "#a/b", "##a", "@", "@alice", "@alice,", "@Al,al", "@a,b c"],
)
def test_an_invalid_channel_is_refused_with_the_reason(channel: str) -> None:
    with pytest.raises(ValueError, match=r"must|participants") as caught:
        check_channel(channel)
    assert not isinstance(caught.value, TooLong)


@pytest.mark.parametrize(
    "channel",
    [
        "#" + "a" * 33,
        "@alice," + "b" * 33,
        "@" + ",".join(f"p{i}" for i in range(DIRECT_MAX + 1)),
        "@" + "a," * 50_000,
    ],
)
def test_a_channel_over_a_limit_is_too_long(channel: str) -> None:
    with pytest.raises(TooLong):
        check_channel(channel)


def test_a_direct_channel_of_the_longest_names_is_allowed() -> None:
    people = [f"{i:0>32}" for i in range(DIRECT_MAX)]
    assert channel_names(check_channel("@" + ",".join(people))) == tuple(people)


def test_built_in_channels_are_known_in_any_spelling() -> None:
    assert all(is_builtin(channel.upper()) for channel in BUILTIN_CHANNELS)
    assert not is_builtin("#counters")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Alice, hi", ("alice",)),
        ("hi @alice and @bob; @alice again", ("alice", "bob")),
        ("ask @alice.", ("alice.", "alice")),
        ("(@a-b-)", ("a-b-", "a-b")),
        ("mail me@example.org, see https://example.org/@alice", ()),
        ("@ @@x", ()),
    ],
)
def test_mentions(text: str, found: tuple[str, ...]) -> None:
    assert mentioned_names(text) == found


@pytest.mark.parametrize(
    "spellings",
    [
        ("❤️", "❤", "❤\ufe0e", " ❤️\u200b"),
        ("é", "e\u0301", "é\ufeff"),
        ("❤️\u200d🔥", "❤\u200d🔥"),
        ("☝🏽", "☝️🏽"),
        ("🏳️\u200d🌈", "🏳\u200d🌈", "🏳️\u200d🌈\u200d"),
        ("#️⃣", "#⃣"),
        ("👍", "👍\ufe0f"),
        ("🏴\U000e0067\U000e0062\U000e007f",),
        ("lgtm", " lgtm "),
    ],
)
def test_spellings_of_an_emoji_have_one_normal_form(spellings: tuple[str, ...]) -> None:
    assert {emoji_form(each) for each in spellings} == {spellings[0]}


@given(st.text())
def test_emoji_form_is_idempotent(text: str) -> None:
    assert emoji_form(emoji_form(text)) == emoji_form(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (" \n\t", True),
        ("\u200b\u200d\u2060\ufeff", True),
        ("\u202e\u2066\u00ad", True),
        ("\u3164\u2800\u115f\uffa0", True),
        ("\ufe0f\u034f", True),
        ("\u00a0\u3000\u2028", True),
        (" a", False),
        ("\u200b。", False),
        ("\u0301", False),
        ("\u0600", False),
        ("\U0001faff", False),
    ],
)
def test_blank_text_has_no_visible_character(text: str, expected: bool) -> None:
    assert is_blank(text) is expected


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 events"), (1, "1 event"), (2_000, "2,000 events")]
)
def test_counted_uses_the_singular_only_for_one(number: int, text: str) -> None:
    assert counted(number, "event") == text


@pytest.mark.parametrize(
    ("text", "is_link", "is_invitation"),
    [
        (" 7k3qx 9mz2t ", True, False),
        ("7K3QX9MZ2T", True, False),
        ("0q8vb km4ts w2xna 7c9de h3jpr 6", False, True),
        ("everything", False, False),
        ("alice12345", False, False),
        ("lunch at 12h", False, False),
        ("we meet at 10 in the tea hall", False, False),
        ("otherwisethoughtfulpeoplee", False, False),
    ],
)
def test_typed_codes_are_told_from_words(text: str, is_link: bool, is_invitation: bool) -> None:
    assert is_typed_link_code(text) == is_link
    assert is_typed_invitation(text) == is_invitation
