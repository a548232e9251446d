"""The viewport: it keeps its position, follows the bottom, and lays out only visible lines."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.client.model.state import Delivery, Message
from chat.client.platform.local_time import local_time
from chat.client.tui.timeline.layout import Line
from chat.client.tui.timeline.painter import row_number
from chat.client.tui.timeline.renderer import Block
from chat.client.tui.timeline.viewport import BlockCache, Viewport
from tests.client.tui.timeline.lines import (
    bring,
    changed,
    event,
    page,
    renderer,
    row_of,
    say,
    screen,
    sheet,
)
from tests.costs import growth, seconds

LONG = "word " * 100


def test_the_window_begins_at_the_bottom_and_stays_there() -> None:
    made = sheet(page(1, 50))
    assert screen(made)[-1] == "message 50"
    assert made.window.at_end
    bring(made, page(51, 60))
    assert screen(made)[-1] == "message 60"
    bring(made, changed(say(60, LONG, "alice")))
    assert screen(made)[-1].startswith("word")
    made.restyle(renderer(40), 10)
    assert made.settle().at_end


def test_a_short_log_fits_in_the_window() -> None:
    made = sheet(page(1, 2))
    assert screen(made)[2:] == ["bob", "message 1", "carol", "message 2"]
    assert (made.window.top, made.window.at_end) == (0, True)
    made.scroll(-5)
    made.scroll(5)
    assert made.window.at_end


def test_an_empty_log_has_no_rows() -> None:
    made = sheet()
    made.scroll(3)
    made.scroll_to(9)
    made.show_top()
    assert screen(made) == []


def held(made: Viewport, seq: int, change: Callable[[], object]) -> None:
    """Check that a message stays in its row during `change`."""
    before = row_of(made, seq)
    assert before is not None
    change()
    assert row_of(made, seq) == before


def middle() -> Viewport:
    """Return a viewport with its window somewhere in the middle."""
    made = sheet(page(100, 200), height=20)
    made.show(made.log.index_from(150), above=5)
    assert row_of(made, 150) == 5
    return made


def test_the_visible_text_stays_when_lines_are_added_or_removed() -> None:
    made = middle()
    held(made, 150, lambda: bring(made, page(201, 300)))
    held(made, 150, lambda: bring(made, page(1, 99, complete=True)))
    held(made, 150, lambda: bring(made, changed(say(120, LONG), say(190, LONG))))
    held(made, 150, lambda: bring(made, changed(gap_before=(140,))))
    held(made, 150, lambda: setattr(made, "unread", 130))


def test_the_visible_text_stays_after_resizing_and_back() -> None:
    made = middle()
    bring(made, changed(*(say(seq, LONG) for seq in range(130, 150))))
    made.show(made.log.index_from(150), above=0)
    for width in (60, 90, 33, 120, 80):
        made.restyle(renderer(width), 20)
        assert row_of(made, 150) == 0


def test_a_page_above_the_first_line_keeps_the_screen_still() -> None:
    made = sheet(page(100, 150))
    made.show_top()
    assert screen(made)[0].startswith("┄┄ loading older")
    held(made, 100, lambda: bring(made, page(50, 99)))
    assert not screen(made)[0].startswith("┄")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["above", "below", "edit", "resize", "joins"]), st.integers(0, 99)
        ),
        max_size=12,
    ),
    st.integers(210, 290),
    st.integers(0, 10),
)
def test_a_visible_message_keeps_its_row_through_any_change(
    steps: list[tuple[str, int]], seq: int, above: int
) -> None:
    made = sheet(page(200, 300), height=15)
    made.show(made.log.index_from(seq), above=0)
    first, last = 200, 300
    for step, number in steps:
        if step == "above":
            bring(made, page(first - number, first - 1))
            first -= number
        elif step == "below":
            bring(made, page(last + 1, last + number))
            last += number
        elif step == "edit" and 200 + number != seq:
            bring(made, changed(say(200 + number, "edited " * number)))
        elif step == "joins":
            bring(made, changed(*(event(last + more, "join") for more in range(1, 5))))
            last += 4
        elif step == "resize":
            made.restyle(renderer(30 + number), 15)
        made.settle()
    assert row_of(made, seq) == 0


@settings(deadline=None)
@given(st.lists(st.integers(-40, 40), max_size=15))
def test_scrolling_moves_by_exactly_the_rows_asked_for(moves: list[int]) -> None:
    made = sheet(
        page(1, 80), changed(say(40, LONG), event(41, "join"), event(42, "join")), height=15
    )
    every = len(
        screen(
            tall := sheet(
                page(1, 80),
                changed(say(40, LONG), event(41, "join"), event(42, "join")),
                height=9_999,
            )
        )
    )
    whole = screen(tall)
    top = every - 15
    for move in moves:
        made.scroll(move)
        top = min(max(0, top + move), every - 15)
        assert screen(made) == whole[top : top + 15]


def test_long_jumps_are_close_and_jumps_to_the_ends_are_exact() -> None:
    made = sheet(page(1, 5_000), height=20)
    total = made.window.total
    made.scroll_to(total // 2)
    assert 2_000 < made.window.rows[0].key < 3_000  # type: ignore[operator]  # a seq
    made.scroll_to(0)
    assert made.window.top == 0
    made.scroll_to(10**9)
    assert made.window.at_end


def test_revealing_scrolls_as_little_as_needed() -> None:
    made = middle()
    window = made.settle()
    made.reveal(made.log.index_from(150))
    assert made.settle() == window
    made.reveal(made.log.index_from(180))
    assert screen(made)[-1] == "message 180"
    made.reveal(made.log.index_from(110))
    assert screen(made)[:2] == ["carol", "message 110"]


def test_a_pending_message_keeps_its_row_when_confirmed() -> None:
    made = sheet(page(1, 40), changed(say(None, "mine", cid="c", delivery=Delivery.PENDING)))
    assert screen(made)[-1] == "mine …"
    bring(made, changed(say(41, "mine", cid="c")))
    assert screen(made)[-1] == "mine"


def test_the_visible_text_stays_when_messages_below_are_confirmed() -> None:
    def mine(number: int, seq: int | None = None) -> Message:
        return say(seq, f"mine {number}", "dave", cid=f"c{number}", ts=number)

    made = sheet(page(1, 9), changed(*(mine(number) for number in range(60))))
    made.show(made.log.find("c20") or 0, above=0)
    before = screen(made)
    bring(made, changed(*(mine(number, 10 + number) for number in range(30))))
    assert screen(made) == before


def test_scrolling_back_to_the_bottom_follows_new_messages() -> None:
    made = sheet(page(1, 50))
    made.scroll(-9)
    made.scroll(9)
    bring(made, page(51, 52))
    assert screen(made)[-1] == "message 52"


def test_unseen_heights_are_estimated_for_the_width() -> None:
    made = sheet(changed(*(say(seq, LONG) for seq in range(1, 2_000))), width=200)
    wide = made.window.total
    made.restyle(renderer(67), 20)
    assert 1.7 < made.settle().total / wide < 2.2


def test_a_quote_appears_when_what_it_quotes_is_loaded_and_follows_it() -> None:
    made = sheet(page(50, 60), changed(say(61, "yes", reply_to=10)))
    assert "┌ message 10" in screen(made)
    bring(made, page(1, 49))
    assert "┌ bob: message 10" in screen(made)
    bring(made, changed(say(10, "", "bob", deleted=True)))
    assert "┌ bob: message deleted" in screen(made)


def test_joins_arriving_one_by_one_share_a_line() -> None:
    made = sheet(changed(say(1)))
    for seq, name in enumerate(("ann", "ben", "cid"), 2):
        bring(made, changed(event(seq, "join", name)))
        made.settle()
    assert screen(made)[-1] == "ann, ben, cid joined"
    bring(made, changed(event(5, "leave", "ann")))
    assert screen(made)[-2:] == ["message 1", "ben, cid joined · ann joined and left"]


def test_joins_that_were_missing_take_their_place_in_the_line() -> None:
    made = sheet(changed(*(event(seq, "join", f"n{seq}") for seq in range(5, 9))))
    assert screen(made)[-1] == "n5, n6, n7, n8 joined"
    bring(made, changed(event(4, "join", "n4")))
    assert screen(made)[-1] == "n4, n5, n6, n7, n8 joined"


def test_a_removed_line_updates_its_neighbors() -> None:
    mine = say(None, "mine", "bob", cid="c", ts=say(2).ts, delivery=Delivery.FAILED)
    other = say(None, "other", "bob", cid="d", ts=say(2).ts, delivery=Delivery.PENDING)
    made = sheet(changed(say(1), mine, other))
    assert screen(made)[-4:-1] == ["bob", "mine", "✗ not sent   r\xa0resend  x\xa0discard"]
    bring(made, changed(removed=("c",)))
    assert screen(made)[-2:] == ["bob", "other …"]


def test_rows_are_numbered_so_that_a_selection_stays() -> None:
    made = sheet(
        page(100, 150), changed(say(None, "tick", kind="tick"), say(None, "tock", kind="tick"))
    )
    before = {row.key: row_number(row) for row in made.settle().rows}
    numbers = [row_number(row) for row in made.window.rows]
    assert numbers == sorted(set(numbers))
    bring(made, page(1, 99))
    after = {row.key: row_number(row) for row in made.settle().rows}
    assert all(
        after[key] == number for key, number in before.items() if isinstance(key, int) and key > 0
    )


# Costs. The bounds are generous: they detect costs that grow with the number of lines.


@pytest.fixture(scope="module")
def sheets() -> tuple[Viewport, Viewport]:
    def make(count: int) -> Viewport:
        made = sheet(page(1_000, 1_000 + count), width=110, height=50)
        for _ in range(5):
            made.scroll(-48)
        return made

    return make(200), make(100_000)


def receive(made: Viewport) -> None:
    seq = (made.log.last_seq or 0) + 1
    bring(made, page(seq, seq))
    made.settle()


def turn_pages(made: Viewport) -> None:
    for _ in range(5):
        made.scroll(-48)
        made.scroll(47)


def test_a_message_costs_the_same_for_any_number_of_loaded_messages(
    sheets: tuple[Viewport, Viewport],
) -> None:
    few, many = sheets
    few.anchor = many.anchor = None
    assert growth(receive, few, many, enough=5) < 5
    assert seconds(lambda: receive(many), enough=0.005) < 0.005


def test_a_page_costs_the_same_for_any_number_of_loaded_messages(
    sheets: tuple[Viewport, Viewport],
) -> None:
    few, many = sheets
    assert growth(turn_pages, few, many, enough=5) < 5
    assert seconds(lambda: turn_pages(many), enough=0.4) < 0.4


@pytest.mark.feature("around.large")
def test_a_resize_wraps_only_visible_messages(sheets: tuple[Viewport, Viewport]) -> None:
    _, many = sheets
    widths = itertools.count(60)

    def resize() -> None:
        many.restyle(renderer(next(widths)), 50)
        many.settle()

    assert seconds(resize, enough=0.15) < 0.15


def test_a_message_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        made = sheet(*(page(first, first + 199) for first in range(1, 10_000, 200)), height=50)
        assert tracemalloc.get_traced_memory()[0] / len(made.log) < 800
    finally:
        tracemalloc.stop()


def test_blocks_not_used_for_longest_are_forgotten() -> None:
    cache = BlockCache()
    block = sheet(page(1, 1)).block(0)
    for seq in range(1, 9_000):
        cache.put(seq, block)
        cache.get(1)
    assert len(list(cache)) * (1 + len(block.lines)) <= 1_000
    assert {1, 8_999} <= {*cache}


class TestPinnedHeader:
    """The first row of the window shows the author if the header is out of view."""

    RUN = changed(
        say(1, "hello", author="bob"),
        *(say(seq, author="alice") for seq in range(2, 40)),
        reset=True,
        complete=True,
    )

    def top(self, made: Viewport) -> tuple[str, str]:
        made.settle()
        line = made.rows[0].line
        return line.gutter, "".join(segment.text for segment in (*line.indent, *line.ink))

    def test_a_long_run_of_one_author_is_headed_by_name_and_time(self) -> None:
        made = sheet(self.RUN, height=10)
        message = made.window.rows[0].message
        assert message.seq == 30
        assert self.top(made) == (f"{local_time(message.ts):%H:%M}", "alice")
        made.scroll(-3)
        assert made.window.rows[0].message.seq == 27
        assert self.top(made)[1] == "alice"
        assert made.rows[1:] == made.window.rows[1:], "only the first row differs"

    def test_a_message_with_a_visible_header_keeps_its_rows(self) -> None:
        made = sheet(self.RUN, height=10)
        made.show_top()
        assert made.rows == made.window.rows

    def test_the_last_row_before_another_author_follows_its_author_and_time(self) -> None:
        run = changed(*(say(seq) for seq in range(1, 9)), say(9, author="bob"), say(10), reset=True)
        made = sheet(run, height=5)
        assert [row.message.seq for row in made.window.rows] == [8, 9, 9, 10, 10]
        message = made.window.rows[0].message
        assert self.top(made) == (f"{local_time(message.ts):%H:%M}", "alice: message 8")
        assert made.rows[0].line.text == "message 8", "only the text is copied"
        assert made.rows[1:] == made.window.rows[1:]

    def test_a_revealed_message_is_below_the_pinned_header(self) -> None:
        made = sheet(self.RUN, height=10)
        for index in range(30, 2, -1):
            made.reveal(index)
            rows = [row for row in made.rows[1:] if row.at == index]
            assert rows, f"message {made.log[index].seq} is covered"

    def test_a_pinned_header_is_never_copied(self) -> None:
        made = sheet(self.RUN, height=10)
        assert made.rows[0].line.text == ""


def block(lines: int) -> Block:
    return Block([Line()] * lines)


def test_the_least_recently_used_blocks_are_dropped_first() -> None:
    blocks = BlockCache()
    for key in range(3):
        blocks.put(key, block(300))
    assert blocks.get(0) is not None
    blocks.put(3, block(300))
    assert list(blocks) == [2, 0, 3]


def test_an_oversized_block_is_cached_alone() -> None:
    blocks = BlockCache()
    blocks.put(1, block(10))
    blocks.put(2, block(5_000))
    assert list(blocks) == [2]


def test_replaced_and_dropped_blocks_are_not_counted() -> None:
    blocks = BlockCache()
    for _ in range(5):
        blocks.put(1, block(400))
    blocks.put(2, block(400))
    blocks.drop(1)
    blocks.drop(1)
    blocks.put(3, block(400))
    assert list(blocks) == [2, 3]
