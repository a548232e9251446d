"""Layout of text: harmless, within its column, and complete."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from chat.client.tui.timeline.graphemes import (
    cluster_boundary,
    grapheme_clusters,
    isolate_clusters,
    sanitize,
    truncate,
)
from chat.client.tui.timeline.layout import Piece, flow, highlighted, rule, segments
from tests.client.texts import any_text
from tests.client.tui.timeline.lines import is_harmless, plains

FAMILY, FLAG, SKIN, HEART = "👩‍👩‍👧", "🇩🇪", "👍🏽", "❤️"


def wrapped(text: str, width: int, *, hang: bool = False) -> list[str]:
    return plains(flow([Piece(text)], width, hang=hang))


@given(any_text)
def test_sanitized_text_is_harmless_and_sanitizing_is_idempotent(text: str) -> None:
    sanitized = sanitize(text)
    assert is_harmless(sanitized.replace("\n", ""))
    assert "\t" not in sanitized
    assert sanitize(sanitized) == sanitized


@given(any_text, st.integers(2, 40), st.booleans())
@pytest.mark.feature("around.widths")
def test_every_line_fits_its_column_and_together_they_are_the_text(
    text: str, width: int, hang: bool
) -> None:
    half = len(text) // 2
    pieces = [Piece(text[:half], Style(bold=True)), Piece(f"-{text[half:]}")]
    whole = "".join(sanitize(piece.text) for piece in pieces)
    lines = flow(pieces, width, hang=hang)
    for line in lines:
        shown = "".join(segment.text for segment in (*line.indent, *line.ink))
        assert line.indent_width + line.width <= width
        assert line.width == sum(cell_len(segment.text) for segment in line.ink)
        assert is_harmless(shown)
    again = "".join(line.join + line.text for line in lines)[1:]
    assert [part.rstrip(" ") for part in again.split("\n")] == [
        part.rstrip(" ") for part in whole.split("\n")
    ]


@given(any_text)
def test_clusters_cover_the_text_and_have_its_width(text: str) -> None:
    text = sanitize(text).replace("\n", "")
    starts, ends = grapheme_clusters(text)
    assert list(starts) == sorted({*starts, len(text)} if text else {0})
    assert len(starts) == len(ends) + 1
    if text:
        assert starts[0] == 0
        assert ends[-1] == sum(cell_len(text[a:b]) for a, b in pairwise(starts))
    assert "".join(isolate_clusters(text)) == text


@pytest.mark.parametrize(
    "cluster", [FAMILY, FLAG, SKIN, HEART, "e\u0301", "\u1100\u1161\u11a8", "1️⃣"]
)
def test_grapheme_clusters_are_never_split(cluster: str) -> None:
    for width in range(2, 9):
        lines = wrapped(cluster * 7, width)
        assert all(line == cluster * (len(line) // len(cluster)) for line in lines)
        assert "".join(lines) == cluster * 7
    assert cluster_boundary(cluster * 2, 1) == 0
    assert cluster_boundary(cluster * 2, 1, up=True) == len(cluster)


def test_a_character_of_several_code_points_has_a_segment_of_its_own() -> None:
    ink, width = segments([Piece(f"a{FAMILY}b{FLAG}")])
    assert [segment.text for segment in ink] == ["a", FAMILY, "b", FLAG]
    assert width == 6


def test_joiners_and_skin_tones_that_would_hide_width_are_dropped() -> None:
    assert sanitize("a\u200db\u200dc") == "abc"
    assert sanitize("a🏽") == "a"
    assert sanitize(f"{FAMILY}{SKIN}") == FAMILY + SKIN
    many = sanitize("\u200d".join("😀" * 40))
    assert cell_len(many) >= 2 * 40 / 5


def test_words_wrap_at_blanks_and_long_ones_break() -> None:
    assert wrapped("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrapped("abcdefghijkl", 5) == ["abcde", "fghij", "kl"]
    assert wrapped("ab   cd", 4) == ["ab", "cd"]
    joins = [line.join for line in flow([Piece("ab cd\nefghij")], 4)]
    assert joins == ["\n", " ", "\n", ""]


def test_wide_characters_wrap_anywhere_but_before_closing_punctuation() -> None:
    assert wrapped("漢字漢字漢字", 5) == ["漢字", "漢字", "漢字"]
    assert wrapped("漢字漢。字", 6) == ["漢字", "漢。字"]


def test_tabs_expand_and_line_breaks_stay() -> None:
    assert wrapped("a\tb\n\nc", 20) == ["a   b", "", "c"]


def test_marks_do_not_pile_up_from_one_span_to_the_next() -> None:
    pieces = [Piece("e"), *[Piece("\u0301" * 8)] * 3, Piece("\n\u0301")]
    assert plains(flow(pieces, 20)) == ["e" + ("◌" + "\u0301" * 8) * 3, "\u0301"]


def test_list_items_have_a_hanging_indent() -> None:
    assert wrapped("- one two three", 9, hang=True) == ["- one two", "  three"]
    assert wrapped("10. one two three", 11, hang=True) == ["10. one two", "    three"]


def test_an_indent_precedes_every_line_and_is_not_copied() -> None:
    lines = flow([Piece("one two\nthree")], 6, indent=[Piece("| ")])
    assert plains(lines) == ["| one", "| two", "| thre", "| e"]
    assert [line.text for line in lines] == ["one", "two", "thre", "e"]


@given(any_text, st.integers(1, 30))
def test_cropped_text_is_one_line_that_fits(text: str, width: int) -> None:
    cropped = truncate(text, width)
    assert cell_len(cropped) <= width
    assert is_harmless(cropped)


@given(any_text, st.integers(12, 60))
def test_a_rule_is_as_wide_as_its_column_and_is_not_copied(text: str, width: int) -> None:
    line = rule(text, width, Style.null())
    assert line.indent_width == width
    assert line.text == ""


@given(any_text, st.integers(-3, 30), st.integers(-1, 30))
def test_highlighting_changes_no_text_and_cuts_no_character(
    text: str, start: int, end: int
) -> None:
    (line, *_) = flow([Piece(text)], 40)
    marked = Style(reverse=True)
    found = list(highlighted(line, (start, end), marked))
    assert "".join(segment.text for segment in found) == line.text
    starts, _ = grapheme_clusters(line.text)
    position = 0
    for segment in found:
        assert position in starts
        position += len(segment.text)
    lit = "".join(segment.text for segment in found if segment.style and segment.style.reverse)
    wanted = line.text[max(0, start) : None if end < 0 else end]
    assert wanted in lit if 0 <= start < (len(line.text) if end < 0 else end) else True


def test_truncated_text_does_not_widen_the_character_before_it() -> None:
    assert cell_len("┌ " + truncate("\ufe0fname", 9)) == cell_len("┌ name")
