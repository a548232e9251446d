"""Who may connect: how many connections one address may hold, and how fast it may open them.

What is refused costs next to nothing: no handshake, no task. The first few of a refused address are
told why, so that a person learns it; the rest are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from chat.core.rate import Bucket

__all__ = ["Door", "Network", "Refusal", "network", "source_of"]

Network = IPv4Network | IPv6Network

REMEMBERED = 4_096
"""Addresses that are known without parsing them."""
SOURCES_MAX = 65_536
"""Sources whose pace is remembered; the one that was silent longest is forgotten for a new one."""
TOLD_MAX = 8
"""Refused connections of one source, and above the total, that are told why before they are cut."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection is not let in; whether it is told why, in at most 123 bytes, or cut at once."""

    reason: str
    is_told: bool


def network(text: str) -> Network:
    """Read an address or a network (`192.0.2.7`, `2001:db8::/32`).

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text, strict=False)


# An address comes as often as its connections come and go; to parse it took 15 µs each time.
@lru_cache(maxsize=REMEMBERED)
def _plain(address: str) -> IPv4Address | IPv6Address:
    """Return the address; an IPv4 one that came mapped into IPv6 (RFC 4291, 2.5.5.2) as itself."""
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


@lru_cache(maxsize=REMEMBERED)
def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 one.

    Whoever has one IPv6 address has the 2^64 of its subnet (RFC 6177), so only the subnet counts.
    """
    parsed = _plain(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)


class Door:
    """Counts connections, in all and by source, from the first byte to the last.

    Args:
        total: connections in all.
        each: connections that one source may hold.
        rate: connections that one source may open per second, lastingly.
        burst: connections that one source may open at once.
        exempt: networks for which only the total counts.
    """

    def __init__(
        self, *, total: int, each: int, rate: float, burst: int, exempt: Sequence[Network] = ()
    ) -> None:
        self._total = total
        self._each = each
        self._rate = rate
        self._burst = burst
        self._exempt = tuple(exempt)
        self._held: dict[str, int] = {}
        self._paces: dict[str, Bucket] = {}
        self.connections = 0
        """Connections that are counted now."""

    @property
    def remembered(self) -> int:
        """Sources whose pace is remembered now."""
        return len(self._paces)

    def arrive(self, address: str, now: float) -> Refusal | None:
        """Count a connection from `address`, unless it is refused without an answer.

        A refusal that is told keeps its connection counted until `depart`.
        """
        source = source_of(address)
        refusal = self._refusal(source, _plain(address), now)
        if refusal is None or refusal.is_told:
            self.connections += 1
            self._held[source] = self._held.get(source, 0) + 1
        return refusal

    def depart(self, address: str) -> None:
        """Count a connection no more."""
        source = source_of(address)
        self.connections -= 1
        self._held[source] -= 1
        if not self._held[source]:
            del self._held[source]

    def _refusal(
        self, source: str, address: IPv4Address | IPv6Address, now: float
    ) -> Refusal | None:
        count = self.connections
        if count >= self._total:
            reason = "this server has as many connections as it can hold; come back later"
            return Refusal(reason, count < self._total + TOLD_MAX)
        if any(address in network for network in self._exempt):
            return None
        held = self._held.get(source, 0)
        if held >= self._each:
            reason = f"your address has {held} connections, as many as it may; come back later"
            return Refusal(reason, held < self._each + TOLD_MAX)
        pace = self._pace(source, now)
        if pace.take(now):
            reason = "your address connects too often; come back later"
            return Refusal(reason, pace.overruns <= TOLD_MAX)
        return None

    def _pace(self, source: str, now: float) -> Bucket:
        pace = self._paces.pop(source, None)
        if pace is None:
            if len(self._paces) >= SOURCES_MAX:
                del self._paces[next(iter(self._paces))]
            pace = Bucket(self._rate, self._burst, now)
        self._paces[source] = pace  # the last one to have come stands last
        return pace
