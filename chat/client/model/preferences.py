"""Preferences of a channel, and changes that the server has not confirmed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chat.protocol.limits import USUAL_LEVEL

if TYPE_CHECKING:
    from chat.protocol.frames import Joined, Membership, Preferences

__all__ = ["NOTHING", "USUAL", "Preference", "Wish"]


@dataclass(frozen=True, slots=True)
class Preference:
    """Preferences that the server keeps for all devices; see `protocol.commands.Prefer`."""

    pinned: int = 0
    muted: bool = False
    level: str = USUAL_LEVEL

    @classmethod
    def told_in(cls, frame: Membership | Joined | Preferences) -> Preference:
        """Return what a frame says."""
        return cls(frame.pinned, frame.muted, frame.level)


@dataclass(frozen=True, slots=True)
class Wish:
    """Changes that the server has not confirmed; None: unchanged."""

    pinned: int | None = None
    muted: bool | None = None
    level: str | None = None

    def __bool__(self) -> bool:
        return self != NOTHING

    def fields(self) -> dict[str, Any]:
        """Return what is changed, by name."""
        every = {"pinned": self.pinned, "muted": self.muted, "level": self.level}
        return {name: value for name, value in every.items() if value is not None}

    def and_then(self, later: Wish) -> Wish:
        """Return both wishes in one; where they differ, the later one counts."""
        return replace(self, **later.fields())

    def without(self, done: Wish) -> Wish:
        """Return what is left once `done` is done."""
        fields = done.fields()
        kept = {name: value for name, value in self.fields().items() if fields.get(name) != value}
        return Wish(**kept)

    def granted(self, preference: Preference) -> Preference:
        """Return `preference` as it is wished for."""
        return replace(preference, **self.fields())


USUAL = Preference()
"""How one wants a channel of which one has said nothing."""
NOTHING = Wish()
"""No wish at all."""
