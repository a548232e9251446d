"""Characters whose width terminals disagree about: the rest of the row keeps its columns."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from chat.client.tui.terminal.output import anchored
from chat.client.tui.timeline.graphemes import isolate_clusters

HAND, FLAG, FAMILY, HEART = "👍🏽", "🇩🇪", "👩‍👩‍👧", "❤️"
DISPUTED = (HAND, FLAG, FAMILY, HEART)
_PIECE = re.compile(r"\x1b\[\d+;(\d+)H|\x1b\[(\d+)G|\x1b\[[\d;]*m|([^\x1b]+)")


def drawn(output: str, width: Callable[[str], int]) -> dict[int, str]:
    """Return the text in each column of a terminal that has its own widths of clusters."""
    cells: dict[int, str] = {}
    column = 1
    for to, on, text in _PIECE.findall(output):
        column = int(to or on or column)
        for cluster in isolate_clusters(text):
            for part in [cluster] if cluster in DISPUTED else cluster:
                cells[column] = part
                column += width(part)
    return cells


@pytest.mark.parametrize("cluster", DISPUTED)
@pytest.mark.parametrize("own", [1, 2, 4])
def test_text_after_an_emoji_keeps_its_column(cluster: str, own: int) -> None:
    row = f"\x1b[3;5Hone {cluster}\x1b[1m two\x1b[0m"
    shown = drawn(anchored(row), lambda part: own if part == cluster else cell_len(part))
    assert shown[9] == cluster
    assert [shown[column] for column in range(12, 15)] == ["t", "w", "o"]


def test_cells_of_a_narrower_emoji_are_blank() -> None:
    shown = drawn(anchored(f"\x1b[1;1H{HEART}|"), lambda part: 1)
    assert shown[2] == " "


@pytest.mark.parametrize(
    "output", ["plain\r\n", f"\x1b]2;{HAND}\x07", f"{HAND} at no known place", "日本 é مرحبا"]
)
def test_other_text_is_unchanged(output: str) -> None:
    assert anchored(output) == output


@given(st.lists(st.sampled_from(["a", " ", "日", HAND, FLAG, FAMILY, HEART, "\x1b[7m", "\n", "é"])))
def test_only_blanks_and_cursor_positions_are_added(parts: list[str]) -> None:
    output = "\x1b[2;1H" + "".join(parts)
    assert re.sub(r" {2}\x1b\[\d+G|\x1b\[\d+G", "", anchored(output)) == output
