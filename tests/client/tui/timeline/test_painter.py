"""Selected text is copied as written, without the line breaks of the layout."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style
from textual.geometry import Offset
from textual.selection import Selection

from chat.client.tui.timeline.painter import Painter, row_number, selected_text
from chat.client.tui.timeline.viewport import Viewport
from tests.client.texts import any_text
from tests.client.tui.timeline.lines import changed, page, say, sheet

FAMILY = "👩‍👩‍👧"


def number_of(made: Viewport, text: str) -> int:
    return next(row_number(row) for row in made.settle().rows if row.line.text.startswith(text))


def test_wrapped_lines_are_joined_and_line_breaks_kept() -> None:
    text = "one two three four five six seven\n\n- eight nine ten"
    made = sheet(changed(say(1, text)), width=20)
    first, last = number_of(made, "one"), number_of(made, "- eight") + 1
    assert selected_text(made, Selection(Offset(0, first), Offset(99, last))) == text


def test_parts_of_lines_and_headers_with_their_time() -> None:
    made = sheet(page(1, 3))
    one, three = number_of(made, "message 1"), number_of(made, "message 3")
    assert selected_text(made, Selection(Offset(8, one), Offset(7, three))) == (
        "1\n12:02 carol\nmessage 2\n12:03 alice\nmessage"
    )
    assert selected_text(made, Selection(Offset(2, one), Offset(4, one))) == "ss"
    assert selected_text(made, Selection(Offset(-3, one), Offset(4, one))) == "mess"


def test_rules_and_bars_are_left_out() -> None:
    made = sheet(changed(say(1, "> a\n> b"), say(2, "c", ts=0)))
    assert selected_text(made, Selection(None, None)) == (
        "12:01 alice\na\nb\n" + made.block(1).time + " alice\nc"
    )


def test_an_open_selection_ends_at_the_edge_of_the_window() -> None:
    made = sheet(page(1, 500), height=4)
    assert selected_text(made, Selection(None, None)).splitlines()[-1] == "message 500"
    assert len(selected_text(made, Selection(None, None)).splitlines()) == 4


def test_a_character_of_several_code_points_is_copied_whole() -> None:
    made = sheet(changed(say(1, f"a{FAMILY}b")))
    row = number_of(made, f"a{FAMILY}")
    assert selected_text(made, Selection(Offset(2, row), Offset(3, row))) == FAMILY


def test_an_empty_selection_copies_nothing() -> None:
    assert selected_text(sheet(), Selection(None, None)) == ""


@given(any_text, st.integers(-9, 60), st.integers(-9, 60), st.integers(0, 9), st.integers(0, 9))
def test_any_selection_copies_something(text: str, x1: int, x2: int, y1: int, y2: int) -> None:
    made = sheet(changed(say(1, text), say(2, text)), width=30, height=10)
    rows = made.settle().rows
    y1, y2 = (row_number(rows[min(y, len(rows) - 1)]) for y in (y1, y2))
    selected_text(made, Selection.from_offsets(Offset(x1, y1), Offset(x2, y2)))


def test_a_text_that_does_not_fit_behind_a_pinned_header_ends_in_an_ellipsis() -> None:
    run = (*(say(seq, "x" * 30 + f" {seq}") for seq in range(1, 9)), say(9, author="bob"), say(10))
    made = sheet(changed(*run, reset=True), width=40, height=5)
    made.settle()
    row = made.rows[0]
    assert row.message.seq == 8
    strip = Painter(made.renderer, Style.null(), Style.null()).strip(row, 0)
    assert strip.text.rstrip().endswith("…")
    assert strip.text.startswith("  alice  12:08  xxx")
    assert strip.cell_length == 40
