"""Blocks that are at hand: those laid out last, up to so many lines of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from chat.client.tui.timeline.log import Key
from chat.client.tui.timeline.render import Block

__all__ = ["Blocks"]

_LINES_MAX = 1_000


class Blocks:
    """Blocks by the keys of their messages; those not used for longest go first."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Key, Block] = OrderedDict()
        self._lines = 0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._blocks)

    def get(self, key: Key) -> Block | None:
        """Return a message's block, if it is at hand."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: Key, block: Block) -> None:
        """Keep a block; others may have to go, never itself."""
        self.drop(key)
        self._blocks[key] = block
        self._lines += 1 + len(block.lines)
        while self._lines > _LINES_MAX and len(self._blocks) > 1:
            self.drop(next(iter(self._blocks)))

    def drop(self, key: Key) -> None:
        """Let go of a block."""
        if (block := self._blocks.pop(key, None)) is not None:
            self._lines -= 1 + len(block.lines)

    def clear(self) -> None:
        """Let go of all."""
        self._blocks.clear()
        self._lines = 0
