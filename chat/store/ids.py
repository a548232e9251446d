"""Random ids: 64 bits as sixteen hexadecimal digits."""

from __future__ import annotations

import secrets

__all__ = ["Ids"]

BYTES = 8
AT_ONCE = 512


class Ids:
    """Generates ids in blocks: each call to the system's randomness releases the GIL.

    A call per event took 15 % of the writer's time.
    """

    def __init__(self) -> None:
        self._made: list[str] = []

    def new(self) -> str:
        """Return a new id."""
        if not self._made:
            digits, width = secrets.token_hex(AT_ONCE * BYTES), 2 * BYTES
            self._made = [digits[at : at + width] for at in range(0, len(digits), width)]
        return self._made.pop()
