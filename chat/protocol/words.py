"""Words and bounds of the protocol that need no model; this module imports nothing.

A client needs them before it shows its first page, and pydantic only after it.
"""

from __future__ import annotations

__all__ = ["FOLDED_KINDS", "PLACE_MAX", "USUAL_LEVEL"]

USUAL_LEVEL = "mentions"
"""The level of a channel of which its member has said nothing."""
PLACE_MAX = 2**31 - 1
"""The last place that a channel can be put at."""
FOLDED_KINDS: frozenset[str] = frozenset({"edit", "delete", "react", "pin"})
"""Kinds that change the message `target` names, and show no line of their own."""
