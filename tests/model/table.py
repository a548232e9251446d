"""The table of rights in a channel, as the design has it; the server's own table is not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RIGHTS", "USUAL_SETTINGS", "may", "outranks"]

RIGHTS = (
    *("read", "send", "leave", "typing", "pin", "topic", "invite", "moderate", "roles"),
    "settings",
)
USUAL_SETTINGS: Mapping[str, Any] = {
    "posting": "everyone",
    "invites": "members",
    "topic": "members",
    "pins": "members",
    "private": False,
    "archived": False,
    "retention": 0,
}
_SETTINGS = {
    "send": "posting",
    "typing": "posting",
    "pin": "pins",
    "topic": "topic",
    "invite": "invites",
}
_RANKS = ("member", "moderator", "owner")


def may(
    right: str, role: str, settings: Mapping[str, Any], *, is_muted: bool, is_direct: bool
) -> bool:
    """Whether a member with this role has a right."""
    if is_direct:
        return right in ("read", "send", "leave", "typing", "pin", "topic")
    if settings["archived"] and right not in ("read", "leave", "roles", "settings"):
        return False
    if role == "owner":
        return True
    if right in ("roles", "settings"):
        return False
    if is_muted:
        return right in ("read", "leave")
    if role == "moderator":
        return True
    is_reserved = right in _SETTINGS and settings[_SETTINGS[right]] == "moderators"
    return right != "moderate" and not is_reserved


def outranks(role: str, other: str | None) -> bool:
    """Whether somebody with this role may act on somebody with another one, or on an outsider."""
    return other is None or _RANKS.index(role) > _RANKS.index(other)
