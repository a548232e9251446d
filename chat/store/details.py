"""Details of moderation events, and settings of channels, as they are stored: JSON.

The details of an event contain ids of users, so that a changed name applies to old events as well.
The writer encodes them (`Details.encode`) and puts their fields into the event; a reader decodes
them with the names of all users on its page (`ids_in`, `decode`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat.protocol import values
from chat.rights import DEFAULT, ChannelSettings
from chat.store.operations import User

__all__ = [
    "DETAILED_KINDS",
    "Details",
    "actor_in",
    "decode",
    "decode_settings",
    "encode_settings",
    "ids_in",
    "without_reason",
]

DETAILED_KINDS = frozenset(("leave", "role", "settings", "ban", "mute", "expire"))
"""The kinds of events whose stored text is encoded `Details`; a `leave` of one's own has none."""
_USERS = ("user", "by")


@dataclass(frozen=True, slots=True)
class Details:
    """The fields of `protocol.items.Event` that are particular to the events of moderation."""

    user: User | None = None
    by: User | None = None
    act: str | None = None
    role: str | None = None
    until: int | None = None
    settings: ChannelSettings | None = None
    changed: tuple[str, ...] | None = None
    """The names of the settings that changed."""
    up_to: int | None = None
    reason: str = ""

    def encode(self) -> str:
        """Return the JSON that is stored."""
        known = self._known()
        for name in _USERS:
            if name in known:
                known[name] = known[name].id
        return json.dumps(known, ensure_ascii=False, separators=(",", ":"))

    def fields(self) -> dict[str, Any]:
        """Return the fields for `EventFields`."""
        known = self._known()
        for name in _USERS:
            if name in known:
                known[name] = known[name].name
        return known

    def item_fields(self) -> dict[str, Any]:
        """Return the fields for an `Item`."""
        fields = self.fields()
        if "settings" in fields:
            fields["settings"] = values.ChannelSettings(**fields["settings"])
        return fields

    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }
        if not self.reason:
            del known["reason"]
        if self.settings is not None:
            known["settings"] = _changed(self.settings)
        return known


def ids_in(stored: str) -> set[int]:
    """Return the ids of the users in stored details."""
    known = json.loads(stored)
    return {known[name] for name in _USERS if name in known}


def actor_in(stored: str) -> int | None:
    """Return the id of the user who ended a membership, in the stored details of a `leave`."""
    actor: int | None = json.loads(stored).get("by")
    return actor


def decode(stored: str, names: Mapping[int, str]) -> Details:
    """Return stored details; `names` has the name of every user in them, by id."""
    known = json.loads(stored)
    for name in _USERS:
        if name in known:
            known[name] = User(known[name], names[known[name]])
    if "settings" in known:
        known["settings"] = DEFAULT._replace(**known["settings"])
    if "changed" in known:
        known["changed"] = tuple(known["changed"])
    return Details(**known)


def without_reason(stored: str) -> str:
    """Return stored details without the reason, padded with spaces to the same number of bytes."""
    known = json.loads(stored)
    known.pop("reason", None)
    rest = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    return rest + " " * (len(stored.encode()) - len(rest.encode()))


def encode_settings(settings: ChannelSettings) -> str:
    """Return the settings for `channels.settings`; `private` has its own column."""
    changed = _changed(settings._replace(private=DEFAULT.private))
    return json.dumps(changed, separators=(",", ":")) if changed else ""


def decode_settings(stored: str, *, is_private: bool) -> ChannelSettings:
    """Return the settings from `channels.settings` and `channels.is_private`."""
    if not stored and not is_private:
        return DEFAULT
    return DEFAULT._replace(private=is_private, **(json.loads(stored) if stored else {}))


def _changed(settings: ChannelSettings) -> dict[str, Any]:
    """Return the settings that differ from the default."""
    pairs = zip(ChannelSettings._fields, settings, DEFAULT, strict=True)
    return {name: value for name, value, default in pairs if value != default}
