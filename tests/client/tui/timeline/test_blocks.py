"""Blocks that are at hand: the latest used, and no more lines than are good."""

from __future__ import annotations

from chat.client.tui.timeline.layout import Line
from chat.client.tui.timeline.renderer import Block
from chat.client.tui.timeline.viewport import BlockCache


def block(lines: int) -> Block:
    return Block([Line()] * lines)


def test_those_not_used_for_longest_go_first() -> None:
    blocks = BlockCache()
    for key in range(3):
        blocks.put(key, block(300))
    assert blocks.get(0) is not None
    blocks.put(3, block(300))
    assert list(blocks) == [2, 0, 3]


def test_one_that_is_larger_than_all_may_be_is_kept_alone() -> None:
    blocks = BlockCache()
    blocks.put(1, block(10))
    blocks.put(2, block(5_000))
    assert list(blocks) == [2]


def test_one_that_is_put_again_or_dropped_counts_no_more() -> None:
    blocks = BlockCache()
    for _ in range(5):
        blocks.put(1, block(400))
    blocks.put(2, block(400))
    blocks.drop(1)
    blocks.drop(1)
    blocks.put(3, block(400))
    assert list(blocks) == [2, 3]
