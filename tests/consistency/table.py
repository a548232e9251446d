"""Rights in a channel, judged by its log alone: whether each author had the right at that moment.

It follows the table of the design, not the server's code. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chat.protocol.items import Item
from chat.protocol.values import ChannelSettings

__all__ = ["room_faults"]

GENERAL = "#general"
RANKS = {"member": 0, "moderator": 1, "owner": 2}


def room_faults(channel: str, log: Sequence[Item]) -> Iterator[str]:
    """Yield the events that the log itself shows to be forbidden; direct channels have no roles."""
    if channel.startswith("@"):
        return
    room = _Room(channel)
    for item in log:
        if fault := room.fault(item):
            yield f"{channel}: {fault}: {item}"
        room.apply(item)
    owners = [name for name, role in room.roles.items() if role == "owner"]
    if len(owners) != (channel != GENERAL):
        yield f"{channel} is owned by {owners}"


@dataclass
class _Room:
    channel: str
    roles: dict[str, str] = field(default_factory=dict)
    mutes: dict[str, float] = field(default_factory=dict)
    """The end of each mute, in milliseconds; a mute lasts when its member leaves."""
    bans: dict[str, float] = field(default_factory=dict)
    settings: ChannelSettings = field(default_factory=ChannelSettings)
    authors: dict[int, str] = field(default_factory=dict)

    def fault(self, item: Item) -> str:
        """Return what is wrong with an event; empty if nothing is."""
        author, role = item.author, self.roles.get(item.author)
        match item.kind:
            case "expire" | "deleted":  # their author is nobody in particular
                return ""
            case "join":
                return self._fault_of_join(item)
            case _ if role is None:
                return "its author is no member"
            case "leave" if item.by is not None:
                return self._fault_of_act(item.by, author)
            case "delete" if (wrote := self.authors[item.target or 0]) != author:
                return self._fault_of_act(author, wrote)
            case "ban" | "mute":
                return self._fault_of_act(author, item.user or "")
            case "role" if (item.user, item.role) == (author, "owner"):
                return ""  # a succession
            case "role" | "settings":
                return "" if role == "owner" else "its author is no owner"
            case "message" | "edit" | "react":
                return self._fault_of_message(item)
        return ""

    def _fault_of_message(self, item: Item) -> str:
        if self.mutes.get(item.author, 0) > item.ts:
            return "its author is muted"
        if self.settings.archived:
            return "the channel is archived"
        is_reserved = self.settings.posting == "moderators"
        is_member = self.roles[item.author] == "member"
        return "only moderators may send" if is_reserved and is_member else ""

    def _fault_of_join(self, item: Item) -> str:
        if item.author in self.roles:
            return "its author is a member"
        is_banned = self.bans.get(item.author, 0) > item.ts
        return "its author is banned" if is_banned else ""

    def _fault_of_act(self, by: str, on: str) -> str:
        rank = RANKS[self.roles.get(by, "member")]
        is_above = rank > RANKS[self.roles[on]] if on in self.roles else rank > 0
        return "" if is_above else f"{by} may not do this to {on}"

    def apply(self, item: Item) -> None:
        """Apply an event."""
        until = float("inf") if item.until is None else item.until
        self.authors[item.seq] = item.author
        match item.kind:
            case "join":
                is_first = not self.roles and item.seq == 1 and self.channel != GENERAL
                self.roles[item.author] = "owner" if is_first else "member"
            case "leave":
                self.roles.pop(item.author, None)
                if item.act == "ban":
                    self.bans[item.author] = until
            case "role":
                if item.role == "owner":
                    for name, role in self.roles.items():
                        self.roles[name] = "moderator" if role == "owner" else role
                self.roles[item.user or ""] = item.role or ""
            case "ban" | "mute":
                ends = self.bans if item.kind == "ban" else self.mutes
                ends[item.user or ""] = 0 if item.remove else until
            case "settings":
                self.settings = item.settings or ChannelSettings()
