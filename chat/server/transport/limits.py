"""Limits on peers: connections per address, and sign-ins under way.

What is refused costs next to nothing: no handshake, no task. The first few of a refused address are
told why, so that a person learns it; the rest are cut. Behind a declared proxy the address is the
one that its header names, known once the request is read.

When everybody returns at the same time, each sign-in that is begun makes all others slower. A gate
lets a fixed number in, keeps the rest in a queue, and tells who would wait too long when to come
back, instead of letting their patience run out one by one while the work is done for nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable, Sequence
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

from chat.rate import TokenBuckets

__all__ = [
    "AdmissionQueue",
    "ConnectionLimiter",
    "Network",
    "Refusal",
    "network",
    "source_of",
]


Network = IPv4Network | IPv6Network

ADDRESSES_CACHED = 4_096
"""Addresses that are known without parsing them."""
TOLD_MAX = 8
"""Refused connections of one source, and above the total, that get a reason before the cut."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused connection: whether it is closed with a reason of at most 123 bytes, or cut."""

    reason: str
    is_told: bool


def network(text: str) -> Network:
    """Read an address or a network (`192.0.2.7`, `2001:db8::/32`).

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text, strict=False)


# An address comes as often as its connections come and go; to parse it took 15 µs each time.
@lru_cache(maxsize=ADDRESSES_CACHED)
def _plain(address: str) -> IPv4Address | IPv6Address:
    """Return the address; an IPv4 one that came mapped into IPv6 (RFC 4291, 2.5.5.2) as itself."""
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


@lru_cache(maxsize=ADDRESSES_CACHED)
def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 one.

    Whoever has one IPv6 address has the 2^64 of its subnet (RFC 6177), so only the subnet counts.
    """
    parsed = _plain(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)


class ConnectionLimiter:
    """Counts connections, in all and by source, from the first byte to the last.

    Args:
        total: connections in all.
        each: connections that one source may hold.
        rate: connections that one source may open per second, lastingly.
        burst: connections that one source may open at once.
        exempt: networks for which only the total counts.
        proxies: networks of proxies that say whose connections they pass on.
    """

    def __init__(
        self,
        *,
        total: int,
        each: int,
        rate: float,
        burst: int,
        exempt: Sequence[Network] = (),
        proxies: Sequence[Network] = (),
    ) -> None:
        self._total = total
        self._each = each
        self._exempt = tuple(exempt)
        self._proxies = tuple(proxies)
        self._held: dict[str, int] = {}
        self._paces = TokenBuckets(rate, burst)
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
            self._count(source)
        return refusal

    def move(self, address: str, to: str, now: float) -> Refusal | None:
        """Count a connection from `address` as one from `to`, until `to` departs.

        Returns:
            Why there is no place for it there; it is counted all the same.
        """
        self.depart(address)
        source = source_of(to)
        refusal = self._refusal(source, _plain(to), now)
        self._count(source)
        return refusal

    def depart(self, address: str) -> None:
        """Count a connection no more."""
        source = source_of(address)
        self.connections -= 1
        self._held[source] -= 1
        if not self._held[source]:
            del self._held[source]

    def is_proxy(self, address: str) -> bool:
        """Whether a declared proxy has this address."""
        return _is_in(address, self._proxies)

    def behind(self, address: str, forwarded: Sequence[str]) -> str:
        """Return whose connection the proxy at `address` passes on.

        Args:
            address: a declared proxy's.
            forwarded: the values of its `X-Forwarded-For` headers, in their order. Whatever stands
                left of the first hop that is no declared proxy may be invented.
        """
        hops = [hop for value in forwarded for hop in value.split(",")]
        for hop in reversed(hops):
            if (found := _address_of(hop)) is None:
                break
            address = found
            if not self.is_proxy(address):
                break
        return address

    def source(self, address: str, *, is_passed_on: bool) -> str | None:
        """Return what counts as one source of frames and new names; None: it is not limited.

        Args:
            address: where the connection comes from.
            is_passed_on: whether a proxy is there that was not declared: all the people behind it
                are one source, also at an exempt address.
        """
        if not is_passed_on and _is_in(address, self._exempt):
            return None
        return source_of(address)

    def _count(self, source: str) -> None:
        self.connections += 1
        self._held[source] = self._held.get(source, 0) + 1

    def _refusal(
        self, source: str, address: IPv4Address | IPv6Address, now: float
    ) -> Refusal | None:
        count = self.connections
        if count >= self._total:
            reason = "this server has as many connections as it can hold; come back later"
            return Refusal(reason, count < self._total + TOLD_MAX)
        if any(address in network for network in (*self._exempt, *self._proxies)):
            return None
        held = self._held.get(source, 0)
        if held >= self._each:
            reason = f"your address has {held} connections, as many as it may; come back later"
            return Refusal(reason, held < self._each + TOLD_MAX)
        pace = self._paces.of(source, now)
        if pace.take(now):
            reason = "your address connects too often; come back later"
            return Refusal(reason, pace.overruns <= TOLD_MAX)
        return None


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    plain = _plain(address)
    return any(plain in network for network in networks)


def _address_of(hop: str) -> str | None:
    """Return the address of a hop, with or without a port; None: it is none."""
    hop = hop.strip()
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(_plain(hop))
    except ValueError:
        return None


WEIGHT = 0.1
"""Of the newest sample in the moving mean of how long one takes."""


class AdmissionQueue:
    """A first-in, first-out queue before a fixed number of places.

    Args:
        places: how many may be inside at once.
        patience: seconds that anybody may be expected to wait; longer waits are refused.
        chance: returns a number between its two arguments; spreads those who are sent away.
    """

    def __init__(
        self,
        places: int,
        patience: float,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._places = places
        self._patience = patience
        self._chance = chance
        self._inside: dict[Hashable, float] = {}
        self._waiting: dict[Hashable, asyncio.Future[None]] = {}
        self._mean = 0.0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def enter(self, key: Hashable, now: float) -> float:
        """Wait for a place; `leave` gives it back, also after a cancellation.

        Returns:
            0 for a place; or, without waiting, the seconds after which to come back.
        """
        if len(self._inside) < self._places:
            self._inside[key] = now
            return 0.0
        wait = (len(self._waiting) + 1) * self._mean / self._places
        if wait > self._patience:
            return self._chance(wait, 2 * wait)
        turn = self._waiting[key] = asyncio.get_running_loop().create_future()
        await turn
        return 0.0

    def leave(self, key: Hashable, now: float) -> None:
        """Give the place, or the place in the queue, to the next; nothing if one has none."""
        if self._waiting.pop(key, None) is not None:
            return
        since = self._inside.pop(key, None)
        if since is None:
            return
        took = now - since
        self._mean += (took - self._mean) * (WEIGHT if self._mean else 1.0)
        if self._waiting:
            following = next(iter(self._waiting))
            turn = self._waiting.pop(following)
            self._inside[following] = now
            if not turn.done():  # cancelled; its own `leave` is to come
                turn.set_result(None)
