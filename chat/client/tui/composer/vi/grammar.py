"""Parse vi commands: count, operator, motion."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Command", "Unfinished", "read"]

_COUNT = r"(?:[1-9]\d*(?!\d))"
_MOTION = r"(?:[hjklwbeWBE0^$G;,]|gg|[ftFT].)"
_WHOLE = re.compile(
    rf"(?P<count>{_COUNT})?"
    rf"(?:(?P<operator>[dcy])(?P<again>{_COUNT})?"
    rf"(?:(?P<line>(?P=operator))|(?P<object>[ia][wW])|(?P<target>{_MOTION}))"
    rf"|(?P<motion>{_MOTION})"
    r"|(?P<act>r.|[xXpPuoOAIiaJsSCDYvV~.\x12]))",
    re.DOTALL,
)
_SELECTING = re.compile(
    rf"(?P<count>{_COUNT})?(?:(?P<motion>{_MOTION})|(?P<act>r.|[dxcsypPoJvV~]))", re.DOTALL
)
_BEGUN = re.compile(r"(?:[1-9]\d*)?(?:[dcy](?:[1-9]\d*)?(?:[ia]|g|[ftFT])?|g|[ftFT]|r)?")
_MOST = 9_999


class Unfinished:
    """A sign that the command needs more keys."""


class Command(NamedTuple):
    """A parsed command; `number` is the count, None if none was typed.

    The command is a `motion`, an `act`, or an `operator` with a `motion`, with a `word` (a text
    object) or alone (for lines).
    """

    number: int | None
    operator: str = ""
    motion: str = ""
    word: str = ""
    act: str = ""


def read(keys: str, *, is_selecting: bool = False) -> Command | Unfinished | None:
    """Parse `keys`; return None if no command starts with them."""
    match = (_SELECTING if is_selecting else _WHOLE).fullmatch(keys)
    if match is None:
        return Unfinished() if _BEGUN.fullmatch(keys) and keys else None
    found = {name: value or "" for name, value in match.groupdict().items()}
    number = None
    for digits in filter(None, (found["count"], found.get("again"))):
        number = min((number or 1) * int(digits[:5]), _MOST)
    return Command(
        number,
        found.get("operator", ""),
        found["motion"] or found.get("target", ""),
        found.get("object", ""),
        found["act"],
    )
