"""Bounds and constants of the protocol; this module imports nothing.

A client needs them before it imports pydantic, which it does after showing its first page.
"""

from __future__ import annotations

__all__ = [
    "FOLDED_KINDS",
    "LIST_MAX",
    "PLACE_MAX",
    "REACTIONS_MAX",
    "REACTORS_MAX",
    "TEXT_MAX",
    "TIME_MAX",
    "USUAL_LEVEL",
]

USUAL_LEVEL = "mentions"
"""Default notification level of a channel."""
LIST_MAX = 10_000
"""Most entries of a list in a server's frame; server limits are at most a tenth of it."""
REACTIONS_MAX = 1_000
"""Most emoji of one message that a client reads."""
REACTORS_MAX = 5_000
"""Most names in all reactions of one message that a client reads."""
TEXT_MAX = 1_000_000
"""Highest limit for the characters of a message that a server can be configured with."""
TIME_MAX = 253_402_214_400_000
"""The last day of 9999 in milliseconds since 1970; valid in all time zones."""
PLACE_MAX = 2**31 - 1
"""Largest position of a starred channel."""
FOLDED_KINDS: frozenset[str] = frozenset({"edit", "delete", "react", "pin"})
"""Kinds that change the message `target` and have no line in the timeline."""
