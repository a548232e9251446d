"""A proxy for NATS that loses, repeats and reorders the messages that a server receives."""

from __future__ import annotations

import asyncio
import random
from enum import Enum, auto

from tests.proxy import Link, Proxy

__all__ = ["HintFault", "HintProxy"]

LAST = 0.3
"""Seconds without another message after which one counts as the last."""


class HintFault(Enum):
    """What happens to the messages."""

    NONE = auto()
    LOSE_SOME = auto()
    """One of a hundred is lost."""
    REPEAT = auto()
    """Each comes twice."""
    REORDER = auto()
    """Each second one comes before the one before it."""
    LOSE_LAST = auto()
    """One that no other follows soon is lost."""


class HintProxy(Proxy):
    """Forwards to NATS; `hints` is the fault of the messages, and may change at any time."""

    def __init__(self, port: int, chance: random.Random) -> None:
        super().__init__(port)
        self.hints = HintFault.NONE
        self._chance = chance

    async def _deliver(
        self, link: Link, source: asyncio.StreamReader, near: asyncio.StreamWriter
    ) -> None:
        held = b""
        """A message that waits for the next one."""
        try:
            reading = asyncio.ensure_future(_read(source))
            while True:
                done, _ = await asyncio.wait({reading}, timeout=LAST if held else None)
                if not done:
                    lost = self.hints is HintFault.LOSE_LAST
                    held = b"" if lost else await self._forward(link, held, near)
                    continue
                data = reading.result()
                reading = asyncio.ensure_future(_read(source))
                if not data.startswith(b"MSG "):
                    await self._forward(link, data, near)
                elif self.hints in (HintFault.REORDER, HintFault.LOSE_LAST) and not held:
                    held = data
                elif self.hints is HintFault.LOSE_LAST:
                    await self._forward(link, held, near)
                    held = data
                else:
                    await self._forward(link, self._spoilt(data) + held, near)
                    held = b""
        except (OSError, asyncio.IncompleteReadError):
            link.cut()
        finally:
            reading.cancel()

    async def _forward(self, link: Link, data: bytes, near: asyncio.StreamWriter) -> bytes:
        await self._pass(link, data, near)
        return b""

    def _spoilt(self, message: bytes) -> bytes:
        if self.hints is HintFault.LOSE_SOME and self._chance.random() < 0.01:
            return b""
        return message * 2 if self.hints is HintFault.REPEAT else message


async def _read(source: asyncio.StreamReader) -> bytes:
    """Read one operation of NATS's protocol, with its payload."""
    line = await source.readuntil(b"\r\n")
    if line.startswith((b"MSG ", b"HMSG ")):
        return line + await source.readexactly(int(line.split()[-1]) + 2)
    return line
