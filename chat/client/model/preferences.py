"""Preferences of a channel, and changes that the server has not confirmed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chat.protocol.limits import USUAL_LEVEL

if TYPE_CHECKING:
    from chat.protocol.frames import Joined, Membership, Preferences

__all__ = ["DEFAULT_PREFERENCE", "NO_CHANGE", "Preference", "PreferenceChange"]


@dataclass(frozen=True, slots=True)
class Preference:
    """Preferences that the server syncs to all devices; see `protocol.commands.Prefer`."""

    pinned: int = 0
    muted: bool = False
    level: str = USUAL_LEVEL

    @classmethod
    def from_frame(cls, frame: Membership | Joined | Preferences) -> Preference:
        """Return the preferences in a frame."""
        return cls(frame.pinned, frame.muted, frame.level)


@dataclass(frozen=True, slots=True)
class PreferenceChange:
    """Changes that the server has not confirmed; None: unchanged."""

    pinned: int | None = None
    muted: bool | None = None
    level: str | None = None

    def __bool__(self) -> bool:
        return self != NO_CHANGE

    def fields(self) -> dict[str, Any]:
        """Return the changed fields by name."""
        all_fields = {"pinned": self.pinned, "muted": self.muted, "level": self.level}
        return {name: value for name, value in all_fields.items() if value is not None}

    def merged_with(self, later: PreferenceChange) -> PreferenceChange:
        """Return both changes in one; the later one wins."""
        return replace(self, **later.fields())

    def without(self, done: PreferenceChange) -> PreferenceChange:
        """Return the changes that `done` does not include."""
        fields = done.fields()
        left = {name: value for name, value in self.fields().items() if fields.get(name) != value}
        return PreferenceChange(**left)

    def apply_to(self, preference: Preference) -> Preference:
        """Return `preference` with these changes."""
        return replace(preference, **self.fields())


DEFAULT_PREFERENCE = Preference()
"""The preferences of a channel that the user has not changed."""
NO_CHANGE = PreferenceChange()
"""An empty change."""
