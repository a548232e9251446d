"""Heights: sums and lookups agree with a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.tui.timeline.heights import Heights

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", "remove", "set"]),
        st.integers(0, 10_000),
        st.lists(st.integers(0, 9), max_size=600),
        st.integers(0, 50),
    ),
    max_size=12,
)


@given(_STEPS, st.integers(-5, 20_000))
def test_sums_are_those_of_a_plain_list(
    steps: list[tuple[str, int, list[int], int]], row: int
) -> None:
    heights, expected = Heights(), list[int]()
    for step, where, several, one in steps:
        at = where % (len(expected) + 1)
        if step == "insert":
            heights.insert(at, several)
            expected[at:at] = several
        elif at < len(expected) and step == "remove":
            heights.remove(at)
            del expected[at]
        elif at < len(expected):
            heights.set(at, one)
            expected[at] = one
    assert heights.total == sum(expected)
    assert [heights[index] for index in range(len(heights))] == expected
    for index in range(0, len(expected), 97):
        assert heights.before(index) == sum(expected[:index])
    if heights.total:
        index, within = heights.at(row)
        nearest = min(max(row, 0), heights.total - 1)
        assert sum(expected[:index]) + within == nearest
        assert within < expected[index]


@pytest.mark.parametrize("row", [-1, 0, 7])
def test_without_rows_the_last_line_is_the_nearest(row: int) -> None:
    heights = Heights()
    heights.insert(0, [0, 0])
    assert heights.at(row) == (1, 0)


def test_replacing_starts_again() -> None:
    heights = Heights()
    heights.insert(0, [3] * 700)
    heights.replace([1] * 700)
    assert heights.total == 700
    assert heights.before(699) == 699
